//! Power cuts: the data directory lies on a file system in a file, and only what reached that file counts.
//!
//! The copy of a file system's image below the mount, taken while the process stands still, is what a disk holds
//! after a power cut: nothing that is only in the page cache of the file system.

use std::time::Duration;

use super::process::{self, Mounted, run, text};
use super::workload::{Random, Until, Workload, count, figure, make_key};
use crate::harness::service::{Service, TestDirectory};
use crate::harness::skip;

#[test]
fn a_power_cut_loses_nothing() {
    let mut random = Random::new("power cut");
    let directory = TestDirectory::new();
    let image = directory.path().join("image");
    let _mounted = match Mounted::new_file_system(&image, 64, &directory.path().join("data")) {
        Ok(mounted) => mounted,
        Err(reason) => return skip(&format!("power cuts need root and loop devices: {reason}")),
    };
    let service = Service::start(directory.path());
    let key = make_key(&service);
    let workload = Workload::new(4, 40, &mut random);
    let cuts = count(3, 60);
    for cut in 0..cuts {
        let after_cut = TestDirectory::new();
        let copy = after_cut.path().join("image");
        let moment = Duration::from_millis(20 + random.below(400));
        let marks = workload.run(service.address(), &key, Until::Told, || {
            std::thread::sleep(moment);
            let marks = workload.marks();
            service.signal("STOP");
            let copied = run("cp", &["--sparse=always", &text(&image), &text(&copy)]);
            service.signal("CONT");
            copied.expect("the image is copied");
            marks
        });
        let _mounted_copy =
            Mounted::mount(&copy, &after_cut.path().join("data")).expect("the copy is mounted");
        let process = process::start(after_cut.path(), &[]).expect_serving();
        let compared = workload.compare(&process.with_key(&key), &marks);
        compared.unwrap_or_else(|wrong| panic!("cut {cut}: {wrong}\n{}", process.log()));
        drop(process);
        workload
            .settle(&service.with_key(&key))
            .unwrap_or_else(|wrong| panic!("the service itself: {wrong}"));
    }
    let acknowledged = workload.acknowledged_in_total();
    service.stop();
    figure(&format!("power cut: {cuts} cuts, {acknowledged} acknowledged writes, 0 lost"));
}
