//! kill -9 at random moments, under eight clients.

use std::time::Duration;

use super::workload::{Random, Until, Workload, count, figure, make_key};
use crate::harness::service::{Service, TestDirectory};

const CLIENTS: usize = 8;

#[test]
fn kill_9_loses_and_tears_nothing() {
    let mut random = Random::new("kill -9");
    let directory = TestDirectory::new();
    let workload = Workload::new(CLIENTS, 40, &mut random);
    let mut service = Service::start(directory.path());
    let key = make_key(&service);
    let kills = count(8, 200);
    for round in 0..kills {
        let (address, client) = (service.address().to_owned(), service.with_key(&key));
        workload.settle(&client).unwrap_or_else(|wrong| panic!("before kill {round}: {wrong}"));
        let moment = Duration::from_millis(50 + random.below(350));
        workload.run(&address, &key, Until::Gone, || {
            std::thread::sleep(moment);
            service.kill();
        });
        service = Service::start_plain(directory.path(), &[]);
    }
    workload.settle(&service.with_key(&key)).unwrap_or_else(|wrong| panic!("after the last kill: {wrong}"));
    service.stop();
    let acknowledged = workload.acknowledged_in_total();
    assert!(acknowledged > kills, "the clients wrote");
    figure(&format!(
        "kill -9: {kills} kills, {CLIENTS} clients, {acknowledged} acknowledged writes, 0 lost, 0 torn"
    ));
}
