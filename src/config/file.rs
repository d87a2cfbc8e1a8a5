//! Reads a configuration file against the table of settings, with a line number for every mistake.

use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::settings::{Kind, SETTINGS, Setting, Value};
use crate::domain::nearest;

/// A larger file is no configuration.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Reads the keys that the file has.
///
/// # Errors
/// Every mistake, each with path, line and what would be right.
pub fn read(path: &Path) -> Result<Vec<(&'static str, Value)>, Vec<String>> {
    let shown = path.display();
    let size = fs::metadata(path).map(|metadata| metadata.len());
    let text = match size {
        Ok(size) if size > FILE_MAX_BYTES => Err(format!("{shown}: larger than {FILE_MAX_BYTES} bytes")),
        Ok(_) => fs::read_to_string(path).map_err(|error| format!("{shown}: cannot be read: {error}")),
        Err(error) => Err(format!("{shown}: cannot be read: {error}")),
    };
    let text = text.map_err(|problem| vec![problem])?;
    let at_line = |offset: usize, problem: &str| {
        let line = 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        format!("{shown}, line {line}: {problem}")
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        vec![at_line(offset, error.message())]
    })?;

    let mut values = Vec::new();
    let mut problems = Vec::new();
    let mut check = |key: &str, name_offset: usize, value: &Spanned<DeValue<'_>>| match parse(key, value) {
        Ok(parsed) => values.push(parsed),
        Err(problem) => problems.push((name_offset, problem)),
    };
    for (name, value) in table.get_ref().iter() {
        let name_offset = name.span().start;
        let name = name.get_ref().as_ref();
        match value.get_ref() {
            DeValue::Table(inner) if is_table(name) => {
                for (inner_name, value) in inner.iter() {
                    check(&format!("{name}.{}", inner_name.get_ref()), inner_name.span().start, value);
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => check(name, name_offset, value),
        }
    }
    if problems.is_empty() {
        return Ok(values);
    }
    problems.sort();
    Err(problems.iter().map(|(offset, problem)| at_line(*offset, problem)).collect())
}

fn is_table(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.split_once('.').is_some_and(|(table, _)| table == name))
}

fn parse(key: &str, value: &Spanned<DeValue<'_>>) -> Result<(&'static str, Value), String> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
        if is_table(key) {
            return Err(format!("{key} is a table: write [{key}] and its keys below"));
        }
        let suggestion = nearest::suggest(key, SETTINGS.iter().map(|setting| setting.key.to_owned()));
        return Err(format!("{key} is not a setting{suggestion}"));
    };
    let typed = typed_value(setting, value.get_ref()).ok_or_else(|| setting.advice());
    let checked = typed.and_then(|value| setting.check(value));
    checked.map(|value| (setting.key, value)).map_err(|advice| format!("{key} is not valid: {advice}"))
}

fn typed_value(setting: &Setting, value: &DeValue<'_>) -> Option<Value> {
    match setting.kind {
        Kind::Integer(..) => {
            let integer = value.as_integer()?;
            u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok().map(Value::Integer)
        }
        Kind::Address | Kind::Path | Kind::Word(_) => value.as_str().map(|text| Value::Text(text.to_owned())),
        Kind::Origins | Kind::HostNames | Kind::Proxies => {
            let items = value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            items.collect::<Option<Vec<String>>>().map(Value::List)
        }
    }
}
