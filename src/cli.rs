//! The command line: subcommands and flags, and what each exit status means.
//!
//! Exit status: 0 done; 1 the machine refused something; 2 wrong use, wrong configuration, or the directory is in use;
//! 3 data is damaged; 74 the store failed while serving, another start may mend it.

mod check_config;
mod first_start;
mod https;
mod keys;
mod rescue;
mod restored_place;
mod serve;
mod users;

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use tracing::Level;

use crate::config::{self, Config, FlagValue, LogConfig, Settings};
use crate::store::{DataDirectory, KeyPlace, Layout, OpenError, OpenErrorKind, Store};

const EXAMPLE: &str = "\
Example:
  connectord --listen 127.0.0.1:8080 --data-dir /srv/connectord
  curl -u admin http://127.0.0.1:8080/api/v2/cloud_connectors";

/// Keeps a NAS's cloud connectors, tests them, and serves them by a REST API.
#[derive(Parser)]
#[command(name = "connectord", version, after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API; this is what happens without a subcommand.
    Serve(ServeArguments),
    /// Says whether the configuration and the certificates in it are right, and prints the settings in force.
    CheckConfig {
        #[command(flatten)]
        settings: SettingsArguments,
        /// Print a configuration file with every key and its default instead.
        #[arg(long)]
        defaults: bool,
    },
    /// Says whether a backup or data directory is complete, and up to which commit; only reads it.
    Verify {
        /// A copy of the folder sled, or a data directory
        dir: PathBuf,
        /// Where a copy of it may be made for looking into [default: the directory for temporary files]
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
    },
    /// Copies a running service's data into a new directory, and proves the copy.
    Backup {
        #[command(flatten)]
        settings: SettingsArguments,
        /// The new directory
        dir: PathBuf,
    },
    /// Brings what can be read of damaged data into a new data directory, and lists what is missing.
    Salvage {
        /// The damaged data directory, or a copy of its folder sled
        dir: PathBuf,
        /// The new data directory
        out: PathBuf,
    },
    /// Makes a new key file with the recovery code, where the key file is lost; the service is stopped.
    Recover {
        #[command(flatten)]
        settings: SettingsArguments,
        /// File with the recovery code [default: it is asked for, or read from standard input]
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// Makes a new key file and a new recovery code, as after a leak; the service is stopped.
    RotateKey {
        #[command(flatten)]
        settings: SettingsArguments,
        /// Seal every secret anew with a new data key too, and remove all that was sealed with the old one
        #[arg(long)]
        data: bool,
    },
    /// Adds, changes, removes or lists users, while the service is stopped.
    // Also behind the subcommand, where people write them.
    #[command(mut_args(|argument| argument.global(true)))]
    User {
        #[command(flatten)]
        settings: SettingsArguments,
        #[command(subcommand)]
        command: UserCommand,
    },
}

#[derive(Args)]
struct ServeArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Address and port to listen on; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// File with the first password of the user admin
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<String>,
}

#[derive(Args)]
struct SettingsArguments {
    /// Configuration file; also CONNECTORD_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory with everything that is kept [default: ./connectord-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Adds a user; the password is asked for, or read from a file or standard input.
    Add {
        /// The user's name
        name: String,
        /// File with the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Changes a user's password; the old one stops working.
    Passwd {
        /// The user's name
        name: String,
        /// File with the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Revoke all API keys of the user too, as after a leak
        #[arg(long)]
        revoke_keys: bool,
    },
    /// Removes a user and the user's API keys.
    Remove {
        /// The user's name
        name: String,
    },
    /// Lists the users.
    List,
}

/// The log of commands that read no configuration.
const LOG: LogConfig = LogConfig { level: Level::ERROR, is_json: false };

/// Why a command ends without having done its work.
#[derive(Debug)]
struct Failure {
    status: u8,
    messages: Vec<String>,
}

impl Failure {
    /// Wrong use or wrong configuration.
    fn usage(message: impl Into<String>) -> Self {
        Self { status: 2, messages: vec![message.into()] }
    }

    /// The machine refused something.
    fn machine(message: impl Into<String>) -> Self {
        Self { status: 1, messages: vec![message.into()] }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let status = match error.kind {
            OpenErrorKind::Refused => 2,
            OpenErrorKind::Damaged => 3,
            OpenErrorKind::Io => 1,
        };
        Self { status, messages: vec![error.message] }
    }
}

/// Runs the program; the exit status is for `main`.
pub fn run() -> ExitCode {
    // Also of sled's own files, nobody else should read any.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let CommandLine { command, serve } = CommandLine::parse();
    let result = match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(arguments) => {
            let flags =
                [("listen", arguments.listen), ("admin_password_file", arguments.admin_password_file)];
            load(&arguments.settings, flags).and_then(|settings| serve::run(settings.into_config()))
        }
        Command::CheckConfig { defaults: true, .. } => check_config::print_defaults(),
        Command::CheckConfig { settings, .. } => load(&settings, [])
            .and_then(|in_force| check_config::run(settings.config_file().as_deref(), in_force)),
        Command::Verify { dir, scratch } => rescue::verify(LOG, &dir, scratch.as_deref()),
        Command::Backup { settings, dir } => {
            load(&settings, []).and_then(|settings| rescue::backup(&settings.into_config(), &dir))
        }
        Command::Salvage { dir, out } => rescue::salvage(LOG, &dir, &out),
        Command::Recover { settings, code_file } => load(&settings, [])
            .and_then(|settings| keys::recover(&settings.into_config(), code_file.as_deref())),
        Command::RotateKey { settings, data } => {
            load(&settings, []).and_then(|settings| keys::rotate(&settings.into_config(), data))
        }
        Command::User { settings, command } => {
            load(&settings, []).and_then(|settings| users::run(&settings.into_config(), command))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for message in &failure.messages {
                // Nobody is left to be told where standard error is closed.
                let _ = writeln!(io::stderr(), "connectord: {message}");
            }
            ExitCode::from(failure.status)
        }
    }
}

impl SettingsArguments {
    fn config_file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| std::env::var_os("CONNECTORD_CONFIG").map(PathBuf::from))
    }
}

fn load<const N: usize>(
    arguments: &SettingsArguments,
    flags: [(&'static str, Option<String>); N],
) -> Result<Settings, Failure> {
    let data_dir = [("data_dir", arguments.data_dir.clone())];
    let given = flags.into_iter().chain(data_dir);
    let flags: Vec<FlagValue> = given.filter_map(|(key, text)| Some((key, text?))).collect();
    let mut environment = Vec::new();
    for (name, text) in std::env::vars_os() {
        // A variable whose name is no text cannot be one of ours.
        let Ok(name) = name.into_string() else { continue };
        match text.into_string() {
            Ok(text) => environment.push((name, text)),
            Err(_) if name.starts_with("CONNECTORD_") => {
                return Err(Failure::usage(format!("environment: {name} is not valid: it is no UTF-8 text")));
            }
            Err(_) => {}
        }
    }
    config::load(arguments.config_file().as_deref(), &flags, environment.into_iter())
        .map_err(|messages| Failure { status: 2, messages })
}

/// A file that systemd hands to the service (systemd.exec(5), LoadCredential=), where it does.
fn credential(name: &str) -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?);
    Some(directory.join(name)).filter(|path| path.exists())
}

/// Where the key file in force is.
fn key_place(config: &Config) -> KeyPlace {
    let layout = Layout::new(&config.data_dir);
    KeyPlace::find(&layout, config.secret_key_file.as_deref(), credential("secret-key"))
}

/// Locks the data directory and opens the store in it.
fn open_store(config: &Config) -> Result<Store, Failure> {
    Ok(Store::open(lock_data(config)?, &key_place(config), config.store)?)
}

/// Locks a data directory that has a store.
fn lock_data(config: &Config) -> Result<DataDirectory, Failure> {
    let layout = Layout::new(&config.data_dir);
    check_owner(&config.data_dir)?;
    restored_place::check(&layout)?;
    check_store(&layout)?;
    Ok(DataDirectory::lock(&config.data_dir).map_err(OpenError::from)?)
}

/// Refuses a directory without a store. Never with an advice to start the service: where a backup was meant, that would
/// make an empty store.
fn check_store(layout: &Layout) -> Result<(), Failure> {
    if layout.holds_store() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} is no data directory, it has no {}; name the right one with --data-dir, or the service's configuration with --config",
        layout.root().display(),
        layout.commit_log().display()
    )))
}

/// Files that root makes in the service's directory, the service could not read.
fn check_owner(data_dir: &Path) -> Result<(), Failure> {
    let Ok(owner) = std::fs::metadata(data_dir).map(|metadata| metadata.uid()) else { return Ok(()) };
    let own = rustix::process::geteuid().as_raw();
    if own == owner {
        return Ok(());
    }
    Err(Failure::usage(owner_advice(data_dir, owner)))
}

/// What is said to somebody else than the owner of a data directory.
fn owner_advice(data_dir: &Path, owner: u32) -> String {
    let shown = data_dir.display();
    if owner == 0 {
        return format!(
            "{shown} belongs to root; give it to the service's user: chown -R connectord: {shown}"
        );
    }
    format!(
        "{shown} belongs to the user with the number {owner}: run this as that user, as in: runuser -u connectord -- connectord …"
    )
}

/// Prints to standard output; a closed pipe is not our trouble.
fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}
