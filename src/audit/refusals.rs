//! Refused logins, added up until they are written: a flood of them costs memory that is bounded, and no sync each.

use std::collections::HashMap;

use crate::audit::new_event;
use crate::domain::audit_event::{AuditEvent, AuditKind, Subject};
use crate::domain::client_address::ClientAddress;
use crate::domain::timestamp::Timestamp;

/// Most rows of one minute; what comes from further addresses is one row without an address.
const ROWS_MAX: usize = 256;

/// From where, and as whom; `None` in the place of the address where there are too many.
type Row = (Option<ClientAddress>, Option<Subject>);

/// Refused logins by address and by the user or key that they named.
#[derive(Default)]
pub(super) struct Refusals(HashMap<Row, AuditEvent>);

impl Refusals {
    pub(super) fn count(
        &mut self,
        client: ClientAddress,
        request_id: &str,
        subject: Option<Subject>,
        now: Timestamp,
    ) {
        let row = (Some(client.network()), subject);
        let row = if self.0.contains_key(&row) || self.0.len() < ROWS_MAX { row } else { (None, None) };
        if let Some(event) = self.0.get_mut(&row) {
            event.count += 1;
            event.last_at = event.last_at.max(now);
            return;
        }
        let event = AuditEvent {
            client: row.0.map(|client| client.network_text()),
            request_id: Some(request_id.to_owned()),
            subject: row.1.clone(),
            ..new_event(AuditKind::LoginRefused, now)
        };
        self.0.insert(row, event);
    }

    /// Takes out what is to be written, in the order that it began in.
    pub(super) fn take(&mut self) -> Vec<AuditEvent> {
        let mut events: Vec<AuditEvent> = std::mem::take(&mut self.0).into_values().collect();
        events.sort_by_key(|event| event.first_at);
        events
    }

    /// Takes back what could not be written.
    pub(super) fn put_back(&mut self, events: &[AuditEvent]) {
        for event in events {
            let client = event.client.as_deref().and_then(ClientAddress::parse_network);
            let row = (client, event.subject.clone());
            let row = if self.0.contains_key(&row) || self.0.len() < ROWS_MAX { row } else { (None, None) };
            match self.0.get_mut(&row) {
                Some(later) => {
                    later.count += event.count;
                    later.first_at = later.first_at.min(event.first_at);
                    later.last_at = later.last_at.max(event.last_at);
                }
                None => drop(self.0.insert(row, event.clone())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit_event::SubjectKind;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::parse(text).expect("an address")
    }

    fn rows(refusals: &mut Refusals) -> Vec<String> {
        let row = |event: AuditEvent| {
            let subject = event.subject.and_then(|subject| subject.name).unwrap_or_default();
            let client = event.client.unwrap_or_default();
            format!("{client} {subject} {} {}", event.count, event.request_id.unwrap_or_default())
        };
        let mut rows: Vec<String> = refusals.take().into_iter().map(row).collect();
        rows.sort();
        rows
    }

    #[test]
    fn they_are_added_up_by_network_and_subject() {
        let mut refusals = Refusals::default();
        let now = Timestamp::from_unix_ms(0);
        let eva = Subject { kind: SubjectKind::User, id: 1, name: Some("eva".into()) };
        refusals.count(address("2001:db8:0:1::1"), "a", None, now);
        refusals.count(address("2001:db8:0:1:ffff::2"), "b", None, now);
        refusals.count(address("2001:db8:0:2::1"), "c", None, now);
        refusals.count(address("192.0.2.1"), "d", Some(eva.clone()), now);
        refusals.count(address("192.0.2.1"), "e", Some(eva.clone()), now);
        refusals.count(address("192.0.2.2"), "f", None, now);
        let taken = refusals.take();
        refusals.put_back(&taken);
        refusals.count(address("192.0.2.1"), "g", Some(eva), now);
        let expected =
            ["192.0.2.1 eva 3 d", "192.0.2.2  1 f", "2001:db8:0:1::/64  2 a", "2001:db8:0:2::/64  1 c"];
        assert_eq!(rows(&mut refusals), expected);
        assert!(rows(&mut refusals).is_empty());
    }

    #[test]
    fn from_more_addresses_than_fit_they_are_one_row() {
        let mut refusals = Refusals::default();
        for number in 0..1000 {
            let address = address(&format!("10.0.{}.{}", number / 256, number % 256));
            refusals.count(address, "a", None, Timestamp::from_unix_ms(number));
        }
        let taken = refusals.take();
        refusals.put_back(&taken);
        let rows = rows(&mut refusals);
        assert_eq!(rows.len(), ROWS_MAX + 1);
        assert_eq!(rows[0], "  744 a");
    }
}
