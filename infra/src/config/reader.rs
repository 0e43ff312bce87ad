//! From layers of text to typed settings, with notes on everything that was asked for; and the reference
//! page of settings, which is made of such notes.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    str::FromStr,
};

use secrecy::SecretString;

use super::{
    layers::{Layer, Layers, Value},
    mistake::{Exposures, Mistake, Mistakes, STRICT},
    setting::{Setting, variable},
};

/// Sections that some service has. A service leaves those of the others alone, so that all may
/// share one file and one environment.
const SECTIONS: [&str; 17] = [
    "auth",
    "client",
    "engine",
    "http",
    "kafka",
    "log",
    "node",
    "ops",
    "payment",
    "postgres",
    "projector",
    "query",
    "replay",
    "security",
    "snapshots",
    "sql",
    "store",
];

/// `Some(Self { .. })` of fields that are read as options, unless one of them is missing. All are read
/// before that counts, so that all mistakes come to light.
#[macro_export]
macro_rules! read_all {
    ($($field:ident: $read:expr),+ $(,)?) => {{
        $(let $field = $read;)+
        Some(Self { $($field: $field?),+ })
    }};
}

/// The settings of a service: sections read one after the other, by [`read_all`].
pub trait Settings: Sized {
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Settings with the notes on where they came from.
#[derive(Debug)]
pub struct Loaded<S> {
    pub settings: S,
    pub effective: Effective,
    pub exposures: Exposures,
}

/// What `--check-config` prints.
#[derive(Debug)]
pub struct Effective(Vec<String>);

/// Reads settings and gathers mistakes.
#[derive(Debug)]
pub struct Reader<'a> {
    layers: &'a [Layer],
    /// And whether it is a secret.
    asked: Vec<(&'static Setting, bool)>,
    /// One for each setting that has a value.
    lines: Vec<String>,
    mistakes: Vec<Mistake>,
    /// Keys that are for others.
    left: Vec<&'static str>,
    is_strict: bool,
    exposures: Vec<String>,
}

impl Layers {
    /// Reads settings from these layers.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load<S: Settings>(&self) -> Result<Loaded<S>, Mistakes> {
        let mut reader = Reader::new(self);
        let settings = S::read(&mut reader);
        reader.finish(settings)
    }
}

impl<'a> Reader<'a> {
    fn new(layers: &'a Layers) -> Self {
        let (layers, is_strict, exposures) = (&layers.0, false, vec![]);
        let (asked, left, lines, mistakes) = (vec![], vec![], vec![], vec![]);
        let mut reader = Self { layers, asked, left, lines, mistakes, is_strict, exposures };
        reader.is_strict = reader.get(&STRICT).unwrap_or_default();
        reader
    }

    /// A setting that there must be, if only by default. `None` after a mistake, which is noted.
    pub fn get<T: FromStr>(&mut self, setting: &'static Setting) -> Option<T> {
        self.get_with(setting, |text| text.parse().ok())
    }

    /// The same for values with a reader of their own or a narrower range.
    pub fn get_with<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.optional_with(setting, parse)?.or_else(|| self.missing(setting))
    }

    /// A setting that there may be: `Some(None)` if there is none.
    pub fn optional_with<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        self.asked.push((setting, false));
        let Some(value) = self.value(setting) else { return Some(None) };
        let parsed = parse(&value.text);
        if parsed.is_none() {
            self.mistakes.push(Mistake::Invalid {
                origin: value.origin,
                found: Some(value.text),
                allowed: setting.allowed,
            });
            return None;
        }
        self.lines.push(format!("{} = {:?}  # {}", setting.key, value.text, value.origin));
        Some(parsed)
    }

    /// Settings of others in a section that all share: they are no mistake, and are not read.
    pub(super) fn leave(&mut self, settings: impl IntoIterator<Item = &'static Setting>) {
        self.left.extend(settings.into_iter().map(|setting| setting.key));
    }

    /// A secret that there must be, as a value or as `<key>_file`.
    pub fn secret(&mut self, setting: &'static Setting) -> Option<SecretString> {
        self.optional_secret(setting)?.or_else(|| self.missing(setting))
    }

    /// A secret that there may be.
    pub fn optional_secret(&mut self, setting: &'static Setting) -> Option<Option<SecretString>> {
        self.asked.push((setting, true));
        let Some(value) = self.secret_value(setting)? else { return Some(None) };
        if value.text.is_empty() {
            let (origin, allowed) = (value.origin, setting.allowed);
            self.mistakes.push(Mistake::Invalid { origin, found: None, allowed });
            return None;
        }
        self.lines.push(format!("{} = (secret)  # {}", setting.key, value.origin));
        Some(Some(value.text.into()))
    }

    /// Notes that a setting has a value which breaks a rule of its own.
    pub fn refuse<T>(&mut self, setting: &'static Setting) -> Option<T> {
        let origin = variable(setting.key);
        self.mistakes.push(Mistake::Invalid { origin, found: None, allowed: setting.allowed });
        None
    }

    /// Notes that a setting does not fit what it is for, or another setting, and why.
    pub fn unfit(&mut self, setting: &'static Setting, cause: &str) {
        let (origin, cause) = (variable(setting.key), cause.to_owned());
        self.mistakes.push(Mistake::Unfit { origin, cause });
    }

    /// Notes that a setting, as it is, exposes what is sent.
    pub fn expose(&mut self, setting: &'static Setting, what: &str) {
        let origin = variable(setting.key);
        if self.is_strict {
            let cause = format!("{what}, which security.strict forbids");
            self.mistakes.push(Mistake::Exposed { origin, cause });
        } else {
            self.exposures.push(format!("{origin}: {what}"));
        }
    }

    /// Notes that a setting is missing which only others make necessary.
    pub fn missing<T>(&mut self, setting: &'static Setting) -> Option<T> {
        let (name, allowed) = (variable(setting.key), setting.allowed);
        self.mistakes.push(Mistake::Missing { name, allowed });
        None
    }

    fn finish<S>(mut self, settings: Option<S>) -> Result<Loaded<S>, Mistakes> {
        self.find_unknown();
        if !self.mistakes.is_empty() {
            return Err(Mistakes(self.mistakes));
        }
        // Without a mistake every reader has returned a value; a `Settings` that did not is the
        // mistake of its author, told rather than hidden.
        let unread = || Mistake::Unreadable {
            origin: "settings".to_owned(),
            cause: "a section gave up without naming a mistake".to_owned(),
        };
        let settings = settings.ok_or_else(unread)?;
        let (effective, exposures) = (Effective(self.lines), Exposures(self.exposures));
        Ok(Loaded { settings, effective, exposures })
    }

    fn value(&self, setting: &'static Setting) -> Option<Value> {
        let set = self.layers.iter().find_map(|layer| layer.get(setting.key)).cloned();
        set.or_else(|| {
            let text = setting.default?.to_owned();
            Some(Value { text, origin: "default".to_owned() })
        })
    }

    /// `None` after a mistake, `Some(None)` if it is not set.
    fn secret_value(&mut self, setting: &'static Setting) -> Option<Option<Value>> {
        let file_key = file_key(setting.key);
        for layer in self.layers {
            match (layer.get(setting.key), layer.get(&file_key)) {
                (None, None) => {}
                (Some(value), None) => return Some(Some(value.clone())),
                (Some(value), Some(file)) => {
                    let (origin, other) = (value.origin.clone(), file.origin.clone());
                    self.mistakes.push(Mistake::Twice { origin, other });
                    return None;
                }
                (None, Some(file)) => match std::fs::read_to_string(&file.text) {
                    Ok(text) => {
                        let text = text.trim_end_matches(['\n', '\r']).to_owned();
                        return Some(Some(Value { text, origin: file.origin.clone() }));
                    }
                    Err(error) => {
                        let (origin, cause) = (file.origin.clone(), error.to_string());
                        self.mistakes.push(Mistake::Unreadable { origin, cause });
                        return None;
                    }
                },
            }
        }
        Some(None)
    }

    /// A misspelt setting would otherwise be a setting that silently does nothing.
    fn find_unknown(&mut self) {
        let mut known = BTreeSet::new();
        for (setting, is_secret) in &self.asked {
            known.insert(setting.key.to_owned());
            if *is_secret {
                known.insert(file_key(setting.key));
            }
        }
        let mine: BTreeSet<&str> = known.iter().map(|key| section(key)).collect();
        for (key, value) in self.layers.iter().flatten() {
            let foreign = SECTIONS.contains(&section(key)) && !mine.contains(section(key));
            if known.contains(key) || self.left.contains(&key.as_str()) || foreign {
                continue;
            }
            let siblings = known.iter().filter(|other| section(other) == section(key));
            let known = siblings.map(|key| variable(key)).collect();
            self.mistakes.push(Mistake::Unknown { origin: value.origin.clone(), known });
        }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A Markdown table of all settings of `S`, each once.
#[must_use]
pub fn reference<S: Settings>() -> String {
    let layers = Layers::default();
    let mut reader = Reader::new(&layers);
    // Without a source there is nothing to read; what is asked for is what counts.
    S::read(&mut reader);
    let mut page = String::from("| variable | in a file | default | allowed | what it decides |\n");
    page.push_str("|---|---|---|---|---|\n");
    let mut told = BTreeSet::new();
    for (setting, is_secret) in &reader.asked {
        if !told.insert(setting.key) {
            continue;
        }
        let file = if *is_secret { ", or its file in `…_FILE`" } else { "" };
        let default = setting.default.map_or("none".to_owned(), |text| format!("`{text}`"));
        // Writing to a String cannot fail.
        writeln!(
            page,
            "| `{}`{file} | `{}` | {default} | {} | {} |",
            variable(setting.key),
            setting.key,
            setting.allowed,
            setting.doc,
        )
        .ok();
    }
    page
}

fn file_key(key: &str) -> String {
    format!("{key}_file")
}

fn section(key: &str) -> &str {
    key.split_once('.').map_or("", |(section, _)| section)
}
