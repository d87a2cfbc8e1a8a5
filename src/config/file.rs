//! Reads a configuration file against the table of settings, with a line number for every mistake.

use std::fs;
use std::ops::Range;
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
        let span = error.span().filter(|_| error.message() == "duplicate key");
        let problem = span.and_then(|span| explain_duplicate(&text, span));
        vec![at_line(offset, problem.as_deref().unwrap_or(error.message()))]
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
        if let Some(place) = other_place(key) {
            return Err(format!("{key} is not a setting; {place}"));
        }
        let suggestion = nearest::suggest(key, SETTINGS.iter().map(|setting| setting.key.to_owned()));
        return Err(format!("{key} is not a setting{suggestion}"));
    };
    let typed = typed_value(setting, value.get_ref()).ok_or_else(|| setting.advice());
    let checked = typed.and_then(|value| setting.check(value));
    checked.map(|value| (setting.key, value)).map_err(|advice| format!("{key} is not valid: {advice}"))
}

/// Where a key belongs that was written into the wrong table: lines at the end of a file land in its last one.
fn other_place(key: &str) -> Option<String> {
    let name = key.rsplit('.').next().unwrap_or(key);
    let places = SETTINGS.iter().filter_map(|setting| match setting.key.rsplit_once('.') {
        Some((table, last)) => (last == name).then(|| format!("write {name} under [{table}]")),
        None => (setting.key == name).then(|| format!("write {name} above the first [table]")),
    });
    let places: Vec<String> = places.collect();
    (!places.is_empty()).then(|| places.join(", or "))
}

/// Says where a key or table is that the file has twice; `None` where the mistake is another one.
fn explain_duplicate(text: &str, span: Range<usize>) -> Option<String> {
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |end| end + 1);
    let (before, line) = (text.get(..start)?, text.get(start..)?.lines().next()?);
    let header = |line: &str| {
        let name = line.trim_start().strip_prefix('[')?.split_once(']')?.0.trim().to_owned();
        (!name.starts_with('[')).then_some(name)
    };
    let key = |line: &str| line.split_once('=').map(|(name, _)| name.trim().to_owned());
    let earlier = before.lines().enumerate();
    if let Some(name) = header(line) {
        let (at, _) = earlier.into_iter().find(|(_, line)| header(line).as_ref() == Some(&name))?;
        return Some(format!(
            "the table [{name}] is there already, at line {}: write its keys there",
            at + 1
        ));
    }
    let name = key(line)?;
    // In the same table: what stands after the last head of a table.
    let in_table = earlier.fold(Vec::new(), |mut lines, (at, line)| {
        match header(line) {
            Some(_) => lines.clear(),
            None => lines.push((at, line)),
        }
        lines
    });
    let (at, _) = in_table.into_iter().find(|(_, line)| key(line).as_ref() == Some(&name))?;
    Some(format!("{name} is there already, at line {}: keep one of them", at + 1))
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
