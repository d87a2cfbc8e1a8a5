//! What requests leave in the audit trail: with a change, and before a secret is shown.

use std::sync::Arc;

use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::request::Call;
use crate::app::App;
use crate::audit::{Pending, Who, connector_subject};
use crate::domain::audit_event::AuditKind;
use crate::domain::connector::Connector;
use crate::store::Transaction;

/// Reveals that are recorded by one change at most: a list of many connectors takes few syncs, and none is long.
const REVEALS_AT_ONCE: usize = 1000;

/// What changes of connectors leave in the audit trail.
pub struct Trail {
    app: Arc<App>,
    who: Who,
    sees_secrets: bool,
    shows_secrets: bool,
}

impl Trail {
    /// Of one request.
    pub fn new(caller: &Caller, call: &Call) -> Self {
        let who = caller.who(&call.source);
        let (sees_secrets, shows_secrets) = (caller.sees_secrets(), call.shows_secrets(caller));
        Self { app: Arc::clone(&call.app), who, sees_secrets, shows_secrets }
    }

    /// Adds an event to a change of the connector.
    pub fn record(
        &self,
        transaction: &mut Transaction<'_>,
        kind: AuditKind,
        connector: &Connector,
        attributes: &[&str],
    ) {
        let subject = connector_subject(connector);
        self.app.audit.record(transaction, &self.who, kind, subject, attributes);
    }

    /// The answer shows the connector's secret to those who may see it.
    pub fn record_reveal(&self, transaction: &mut Transaction<'_>, connector: &Connector) -> Option<Pending> {
        let audit = &self.app.audit;
        self.shows_secrets.then(|| audit.record_reveal(transaction, &self.who, connector)).flatten()
    }

    /// The connector's secret goes to where those like who may see it: who has that place reads it there, whatever the
    /// answer shows.
    pub fn record_led_elsewhere(
        &self,
        transaction: &mut Transaction<'_>,
        connector: &Connector,
    ) -> Option<Pending> {
        let audit = &self.app.audit;
        self.sees_secrets.then(|| audit.record_reveal(transaction, &self.who, connector)).flatten()
    }
}

/// Records that the caller is about to be shown the secrets of these connectors, where that is not known yet. Nothing is
/// shown by the head of an answer alone.
///
/// # Errors
/// It cannot be recorded, or the caller may not see them any more; then they must not be shown.
pub async fn record_reveals(
    caller: &Caller,
    call: &Call,
    connectors: &[Arc<Connector>],
) -> Result<(), ApiError> {
    if !call.shows_secrets(caller) || call.is_head {
        return Ok(());
    }
    let app = &call.app;
    let index = app.store.snapshot();
    let unrecorded = app.audit.unrecorded(caller.id(), call.source.client, connectors, &index);
    for positions in unrecorded.chunks(REVEALS_AT_ONCE) {
        let shown: Vec<Arc<Connector>> =
            positions.iter().map(|position| Arc::clone(&connectors[*position])).collect();
        let (recording_app, who) = (Arc::clone(app), caller.who(&call.source));
        let recorded = caller.commit(app, move |transaction: &mut Transaction<'_>| {
            let reveals =
                shown.iter().map(|connector| recording_app.audit.record_reveal(transaction, &who, connector));
            Ok(reveals.flatten().collect::<Vec<_>>())
        });
        app.audit.confirm(&recorded.await?);
    }
    caller.check_still_granted(&app.store.snapshot())
}
