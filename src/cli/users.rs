//! `connectord user …`: the users, while the service is stopped.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

use crate::audit::{api_key_subject, record_on_command_line};
use crate::cli::first_start::{ADMIN, add_user, read_password_file};
use crate::cli::serve::start_log;
use crate::cli::{Failure, UserCommand, open_store, print};
use crate::config::{AuditConfig, Config, LogConfig};
use crate::credentials::hash;
use crate::domain::api_key::ApiKey;
use crate::domain::audit_event::AuditKind;
use crate::domain::secret::Secret;
use crate::domain::user::{self, PASSWORD_MAX_BYTES, User};
use crate::store::{Index, Store, Transaction, remove_if_present};
use tracing::Level;
use zeroize::Zeroizing;

pub(super) fn run(config: &Config, command: UserCommand) -> Result<(), Failure> {
    // What opening mends is worth a line here too, the usual news are not.
    start_log(LogConfig { level: Level::WARN, ..config.log });
    let store = open_store(config)?;
    let result = match command {
        UserCommand::Add { name, password_file } => add(&store, &name, password_file.as_deref()),
        UserCommand::Passwd { name, password_file, revoke_keys } => {
            change_password(&store, name, password_file.as_deref(), revoke_keys, config.audit.clone())
        }
        UserCommand::Remove { name } => remove(&store, name, config.audit.clone()),
        UserCommand::List => {
            print(&list(&store.snapshot()));
            Ok(())
        }
    };
    store.close();
    result
}

fn add(store: &Store, name: &str, password_file: Option<&Path>) -> Result<(), Failure> {
    let name = user::parse_name(name).map_err(Failure::usage)?;
    if store.snapshot().users().find(&name).is_some() {
        return Err(Failure::usage(format!("there is a user {name} already")));
    }
    let password = ask_password(password_file)?;
    add_user(store, &name, hash(&password))?;
    print(&format!("user {name} added\n"));
    Ok(())
}

fn change_password(
    store: &Store,
    name: String,
    password_file: Option<&Path>,
    is_revoking: bool,
    audit: AuditConfig,
) -> Result<(), Failure> {
    let id = find(&store.snapshot(), &name)?.id;
    let password_hash = hash(&ask_password(password_file)?);
    let revoked = store.commit_blocking(move |transaction: &mut Transaction<'_>| {
        let Some(user) = transaction.index().users().get(id) else {
            return Err(Failure::usage("the user is gone"));
        };
        let user = User { password_hash, revision: user.revision + 1, ..User::clone(user) };
        transaction.put(user);
        Ok(if is_revoking { revoke_keys(transaction, id, &audit) } else { 0 })
    });
    let revoked = revoked?;
    forget_first_password(store, &name)?;
    print(&format!("password of {name} changed, {revoked} API keys revoked\n"));
    Ok(())
}

fn remove(store: &Store, name: String, audit: AuditConfig) -> Result<(), Failure> {
    let shown = name.clone();
    let removed = store.commit_blocking(move |transaction: &mut Transaction<'_>| {
        let id = find(transaction.index(), &name)?.id;
        if transaction.index().users().len() == 1 {
            return Err(Failure::usage(format!("{name} is the only user; add another one first")));
        }
        transaction.remove::<User>(id);
        Ok(revoke_keys(transaction, id, &audit))
    });
    let revoked = removed?;
    forget_first_password(store, &shown)?;
    print(&format!("user {shown} removed, {revoked} API keys revoked\n"));
    Ok(())
}

/// The file with the first password speaks of a password that is no more.
fn forget_first_password(store: &Store, name: &str) -> Result<(), Failure> {
    if name != ADMIN {
        return Ok(());
    }
    let path = store.directory().first_start_file();
    remove_if_present(&path)
        .map_err(|error| Failure::machine(format!("{} cannot be removed: {error}", path.display())))
}

fn revoke_keys(transaction: &mut Transaction<'_>, user_id: u64, audit: &AuditConfig) -> usize {
    let keys = transaction.index().api_keys().iter().filter(|key| key.user_id == user_id);
    let ids: Vec<u64> = keys.map(|key| key.id).collect();
    let revoked = ids.iter().filter_map(|id| transaction.remove::<ApiKey>(*id));
    let revoked: Vec<Arc<ApiKey>> = revoked.collect();
    for key in &revoked {
        record_on_command_line(transaction, audit, AuditKind::ApiKeyRevoked, api_key_subject(key));
    }
    revoked.len()
}

fn list(index: &Index) -> String {
    let mut text = String::new();
    for user in index.users().iter() {
        let keys = index.api_keys().iter().filter(|key| key.user_id == user.id).count();
        let added = user.created_at.to_rfc3339();
        text.push_str(&format!("{}  added {added}  {keys} API keys\n", user.name));
    }
    text
}

fn find(index: &Index, name: &str) -> Result<User, Failure> {
    let user = index.users().find(name).map(|user| User::clone(user));
    user.ok_or_else(|| {
        Failure::usage(format!("there is no user {name}; `connectord user list` shows who there is"))
    })
}

/// From the file, else asked for twice on a terminal, else the first line of standard input. Never an argument:
/// those are seen by everybody on the machine.
fn ask_password(file: Option<&Path>) -> Result<Secret, Failure> {
    let cannot = |error: io::Error| Failure::machine(format!("the password cannot be read: {error}"));
    if let Some(path) = file {
        return read_password_file(path);
    }
    let password = if io::stdin().is_terminal() {
        let password = Secret::new(rpassword::prompt_password("New password: ").map_err(cannot)?);
        let again = Secret::new(rpassword::prompt_password("Once more: ").map_err(cannot)?);
        if !password.matches(&again) {
            return Err(Failure::usage("the two passwords differ; nothing was changed"));
        }
        password
    } else {
        let mut line = Zeroizing::new(String::with_capacity(PASSWORD_MAX_BYTES + 2));
        let limit = PASSWORD_MAX_BYTES as u64 + 2;
        io::stdin().lock().take(limit).read_line(&mut line).map_err(cannot)?;
        Secret::new(line.trim_end_matches(['\n', '\r']).to_owned())
    };
    user::parse_password(&password).map_err(Failure::usage)?;
    Ok(password)
}
