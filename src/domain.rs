//! Types and rules of what the program keeps: connectors, users, API keys, jobs. No I/O, no formats.
//!
//! Everything here is parsed once at the edge (`ConnectorName::parse`) and plain inside.

pub mod address;
pub mod api_key;
pub mod audit_event;
pub mod bucket;
pub mod client_address;
pub mod connector;
pub mod endpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod job;
pub mod listing;
pub mod masked;
pub mod mount_options;
pub mod nearest;
pub mod option_list;
pub mod option_names;
pub mod own_names;
pub mod patch;
pub mod provider;
pub mod recovery_code;
pub mod scope;
pub mod secret;
pub mod test_options;
pub mod timestamp;
pub mod user;
pub mod verdict;
pub mod violation;
