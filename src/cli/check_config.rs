//! `connectord check-config`.

use std::path::Path;

use crate::cli::https::Https;
use crate::cli::{Failure, print};
use crate::cloud::Cloud;
use crate::config::{Config, Settings, Source, render_file};
use crate::store::Layout;

/// Prints the settings in force; that they could be loaded means that they are right, up to the files that they name.
pub(super) fn run(config_file: Option<&Path>, settings: Settings) -> Result<(), Failure> {
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
    let messages = problems_of_certificates(&settings.into_config());
    if !messages.is_empty() {
        return Err(Failure { status: 2, messages });
    }
    print(&text);
    Ok(())
}

/// What a start would refuse of the certificates and keys that are named, in the same words.
fn problems_of_certificates(config: &Config) -> Vec<String> {
    let https = Https::new(&config.tls, &Layout::new(&config.data_dir), config.listen.ip());
    let own = https.map_or(Ok(()), |https| https.check());
    let authorities = Cloud::new(config.cloud.clone(), config.listen).map(drop);
    [own, authorities].into_iter().filter_map(Result::err).collect()
}

/// Prints `config/connectord.toml`.
pub(super) fn print_defaults() -> Result<(), Failure> {
    print(&render_file());
    Ok(())
}
