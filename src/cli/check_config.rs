//! `connectord check-config`.

use std::path::Path;

use crate::cli::{Failure, print};
use crate::config::{Settings, Source, render_file};

/// Prints the settings in force; that they could be loaded means that they are right.
pub(super) fn run(config_file: Option<&Path>, settings: &Settings) -> Result<(), Failure> {
    let mut text = match config_file {
        Some(path) => format!("# {} is right. Settings in force:\n", path.display()),
        None => "# No configuration file. Settings in force:\n".to_owned(),
    };
    for (key, value, source) in settings.in_force() {
        let source = match source {
            Source::Flag => "command line",
            Source::Environment => "environment",
            Source::File => "file",
            Source::Default => "default",
        };
        text.push_str(&format!("{key} = {value}  # {source}\n"));
    }
    print(&text);
    Ok(())
}

/// Prints `config/connectord.toml`.
pub(super) fn print_defaults() -> Result<(), Failure> {
    print(&render_file());
    Ok(())
}
