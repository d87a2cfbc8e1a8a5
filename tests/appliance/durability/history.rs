//! What one client did, and whether what a service holds is the state after a prefix of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::workload::Random;
use crate::harness::http::encode;

pub const CONNECTORS: &str = "/api/v2/cloud_connectors";
const PROVIDERS: [&str; 4] = ["generic_s3", "wasabi", "amazon_aws_s3", "scality_ring"];

/// A connector as a client knows it; the id of one whose creation was not acknowledged is not known.
#[derive(Debug, Clone)]
pub struct Connector {
    pub id: Option<u64>,
    pub attributes: Value,
}

/// Connectors by name.
pub type Contents = BTreeMap<String, Arc<Connector>>;

/// One request: names with what they hold after it. A renaming changes two.
pub struct Operation {
    pub method: &'static str,
    pub target: String,
    pub body: Option<Value>,
    changes: Vec<(String, Option<Arc<Connector>>)>,
}

/// What one client did since everything was last compared.
pub struct History {
    pub prefix: String,
    base: Contents,
    pub operations: Vec<Operation>,
    pub acknowledged: usize,
    pub acknowledged_in_total: usize,
    pub current: Contents,
    last_number: u64,
    random: Random,
}

impl History {
    /// Of the client with this number.
    pub fn new(number: usize, random: Random) -> Self {
        Self {
            prefix: format!("client {number} "),
            base: Contents::new(),
            operations: Vec::new(),
            acknowledged: 0,
            acknowledged_in_total: 0,
            current: Contents::new(),
            last_number: 0,
            random,
        }
    }

    /// Goes on from what a service holds.
    pub fn adopt(&mut self, actual: &Contents) {
        self.base = self.own(actual);
        self.current = self.base.clone();
        self.operations.clear();
        self.acknowledged = 0;
    }

    fn new_name(&mut self) -> String {
        self.last_number += 1;
        format!("{}number {}", self.prefix, self.last_number)
    }

    fn attributes(&mut self, name: &str) -> Value {
        let stamp = self.random.next();
        let secret = format!("{stamp:016x}").repeat(1 + self.random.below(40) as usize);
        json!({
            "name": name,
            "url": format!("http://host-{stamp:x}:9000"),
            "url_proxy": format!("http://user:{stamp:x}@proxy:3128"),
            "provider": PROVIDERS[self.random.below(4) as usize],
            "region": format!("region-{stamp:x}"),
            "access_key": format!("key-{stamp:x}"),
            "secret_key": secret,
            "options": format!("uid={stamp},ro"),
        })
    }

    /// A request for one connector more.
    pub fn creation(&mut self) -> Operation {
        let name = self.new_name();
        let attributes = self.attributes(&name);
        let connector = Arc::new(Connector { id: None, attributes: attributes.clone() });
        let changes = vec![(name, Some(connector))];
        Operation { method: "POST", target: CONNECTORS.to_owned(), body: Some(attributes), changes }
    }

    /// The next request: mostly changes, and as many creations as removals once there are enough connectors.
    pub fn choose(&mut self, connectors_wanted: usize) -> Operation {
        let choice = self.random.below(10);
        let length = self.current.len();
        if length == 0 || choice < 3 && length < 2 * connectors_wanted || length < connectors_wanted / 2 {
            return self.creation();
        }
        let position = self.random.below(length as u64) as usize;
        let (name, connector) = self.current.iter().nth(position).expect("there is one");
        let (name, connector) = (name.clone(), Arc::clone(connector));
        let target = match connector.id {
            Some(id) if choice.is_multiple_of(2) => format!("{CONNECTORS}/{id}"),
            _ => format!("{CONNECTORS}/{}", encode(&name)),
        };
        if choice < 6 && length > connectors_wanted / 2 {
            return Operation { method: "DELETE", target, body: None, changes: vec![(name, None)] };
        }
        let new_name = if choice == 9 { self.new_name() } else { name.clone() };
        let mut change = self.attributes(&new_name);
        if choice == 8 {
            // Some attributes alone: the others stay.
            change = json!({ "region": change["region"], "secret_key": change["secret_key"] });
        }
        let mut attributes = connector.attributes.clone();
        for (attribute, value) in change.as_object().expect("an object") {
            attributes[attribute] = value.clone();
        }
        let changed = Some(Arc::new(Connector { id: connector.id, attributes }));
        let mut changes = vec![(new_name.clone(), changed)];
        if new_name != name {
            changes.push((name, None));
        }
        Operation { method: "PUT", target, body: Some(change), changes }
    }

    /// The last request was answered; the id is that of the answer.
    pub fn acknowledge(&mut self, id: Option<u64>) {
        self.acknowledged_in_total += 1;
        self.acknowledged = self.operations.len();
        let operation = self.operations.last_mut().expect("it was sent");
        for (name, connector) in &mut operation.changes {
            if let Some(connector) = connector {
                *connector = Arc::new(Connector { id, attributes: connector.attributes.clone() });
            }
            apply(&mut self.current, name, connector.as_ref());
        }
    }

    fn own(&self, actual: &Contents) -> Contents {
        let own = actual.iter().filter(|(name, _)| name.starts_with(&self.prefix));
        own.map(|(name, connector)| (name.clone(), Arc::clone(connector))).collect()
    }

    /// Looks for the prefix of the requests, no shorter than the mark, after which the names are as they are.
    pub fn find(&self, actual: &Contents, mark: usize) -> std::result::Result<usize, String> {
        let actual = self.own(actual);
        let mut model = self.base.clone();
        for operation in &self.operations[..mark] {
            operation.changes.iter().for_each(|(name, after)| apply(&mut model, name, after.as_ref()));
        }
        let names = || model.keys().chain(actual.keys().filter(|name| !model.contains_key(*name)));
        let wrong: Vec<&String> =
            names().filter(|name| !is_same(model.get(*name), actual.get(*name))).collect();
        let describe = |name: &&String| {
            format!("{name:?}: {:?}, acknowledged {:?}", actual.get(*name), model.get(*name))
        };
        let told = wrong.iter().take(3).map(describe).collect::<Vec<_>>().join("; ");
        let mut wrong_count = wrong.len();
        let wrong_at_mark = wrong_count;
        for (position, operation) in self.operations.iter().enumerate().skip(mark) {
            if wrong_count == 0 {
                return Ok(position);
            }
            for (name, after) in &operation.changes {
                wrong_count -= usize::from(!is_same(model.get(name), actual.get(name)));
                apply(&mut model, name, after.as_ref());
                wrong_count += usize::from(!is_same(model.get(name), actual.get(name)));
            }
        }
        if wrong_count == 0 {
            return Ok(self.operations.len());
        }
        Err(format!(
            "{}: {wrong_at_mark} of {} names are as after no request from {mark} to {}: {told}",
            self.prefix,
            actual.len(),
            self.operations.len()
        ))
    }
}

fn apply(contents: &mut Contents, name: &str, after: Option<&Arc<Connector>>) {
    match after {
        Some(connector) => contents.insert(name.to_owned(), Arc::clone(connector)),
        None => contents.remove(name),
    };
}

fn is_same(known: Option<&Arc<Connector>>, actual: Option<&Arc<Connector>>) -> bool {
    match (known, actual) {
        (None, None) => true,
        (Some(known), Some(actual)) => {
            known.attributes == actual.attributes && (known.id.is_none() || known.id == actual.id)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}
