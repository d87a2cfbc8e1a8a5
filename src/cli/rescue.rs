//! `connectord verify`, `backup` and `salvage`.

use std::path::Path;

use crate::cli::serve::start_log;
use crate::cli::{Failure, check_store, print};
use crate::config::{Config, LogConfig};
use crate::store::Layout;
use crate::store::rescue::{self, Inventory};
use tracing::Level;

/// Says whether a backup or data directory is complete, and up to where.
pub(super) fn verify(log: LogConfig, path: &Path, scratch: Option<&Path>) -> Result<(), Failure> {
    start_log(LogConfig { level: Level::ERROR, ..log });
    let temporary = std::env::temp_dir();
    let inventory = rescue::verify(path, scratch.unwrap_or(&temporary))?;
    print(&format!("{} is complete: {}\n", path.display(), describe(&inventory)));
    Ok(())
}

/// Copies a running service's data, proved.
pub(super) fn backup(config: &Config, destination: &Path) -> Result<(), Failure> {
    start_log(LogConfig { level: Level::ERROR, ..config.log });
    let layout = Layout::new(&config.data_dir);
    check_store(&layout)?;
    let inventory = rescue::backup(&layout, destination)?;
    print(&format!(
        "{} is complete: {}\nThe key file is not in it: keep a copy of that somewhere else.\n",
        destination.display(),
        describe(&inventory)
    ));
    Ok(())
}

/// Brings what is left of a damaged store into a new data directory.
pub(super) fn salvage(log: LogConfig, path: &Path, destination: &Path) -> Result<(), Failure> {
    start_log(LogConfig { level: Level::ERROR, ..log });
    let salvaged = rescue::salvage(path, destination)?;
    let mut text = format!("{}: {}\n", destination.display(), describe(&salvaged.inventory));
    for part in &salvaged.damage {
        text.push_str(&format!("damaged: {part}\n"));
    }
    for range in &salvaged.missing {
        text.push_str(&format!("missing: commits {} to {}\n", range.start(), range.end()));
    }
    if salvaged.missing.is_empty() {
        text.push_str("missing: nothing\n");
    }
    text.push_str(match salvaged.has_vault {
        true => "Put the key file secret.key into that directory, then start with it.\n",
        false => "The wrapped key is lost: names and addresses are there, but no secret can be opened.\n",
    });
    print(&text);
    Ok(())
}

fn describe(inventory: &Inventory) -> String {
    format!(
        "commit {} of {}, {} connectors, {} API keys, {} users, {} test jobs",
        inventory.commit,
        inventory.time.to_rfc3339(),
        inventory.connectors,
        inventory.api_keys,
        inventory.users,
        inventory.jobs
    )
}
