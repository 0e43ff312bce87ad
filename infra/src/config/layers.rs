//! Where settings come from. A layer maps keys such as `http.bind` to text and remembers the name
//! under which a person would look for it.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::Path,
};

use super::{
    mistake::{Mistake, Mistakes},
    setting::variable,
};

const PREFIX: &str = "TRADEWIND_";

/// Variables with the prefix that are no settings: what a local stack tells its users.
const STACK_VARIABLES: [&str; 6] = [
    "COMMAND_URL",
    "COMMAND_OPS_URL",
    "QUERY_OPS_URL",
    "PROJECTOR_OPS_URL",
    "TOPIC",
    "PAYMENT_WEBHOOK_SECRET",
];
/// Those that are settings of commands, whoever exports them.
const CLIENT_VARIABLES: [&str; 4] = ["COMMAND_URL", "QUERY_URL", "PROJECTOR_URL", "OPERATOR_KEY"];

/// Whether, and how, a local stack's `.stack/dev.env` gives defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalStack {
    /// Not at all.
    Ignored,
    /// With the database as readers see it.
    Reader,
    /// With the database as its owner sees it.
    Owner,
}

/// Layers of settings, the strongest first.
#[derive(Debug, Default)]
pub struct Layers(pub(super) Vec<Layer>);

/// One source, by key.
pub(super) type Layer = BTreeMap<String, Value>;

#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) text: String,
    /// The name of the variable, or the file and key.
    pub(super) origin: String,
}

impl Layers {
    /// The environment over a file over a local stack.
    pub(super) fn of_process(file: Option<&Path>, stack: LocalStack) -> Result<Self, Mistakes> {
        let mut layers = Self::default().environment(std::env::vars_os());
        if let Some(file) = file {
            layers = layers.file(file)?;
        }
        let folder = std::env::current_dir();
        if let (false, Ok(folder)) = (stack == LocalStack::Ignored, folder) {
            layers = layers.local_stack(&folder, stack);
        }
        Ok(layers)
    }

    /// Adds environment variables; those without the prefix are none of ours.
    #[must_use]
    pub fn environment<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut layer = Layer::new();
        for (name, text) in variables {
            let (name, text) = (name.into(), text.into());
            let (name, text) = (name.to_string_lossy(), text.to_string_lossy());
            if let Some(key) = key_of_variable(&name) {
                layer.insert(key, Value { text: text.into_owned(), origin: name.into_owned() });
            }
        }
        self.0.push(layer);
        self
    }

    /// Adds a TOML file.
    ///
    /// # Errors
    /// It cannot be read or is no TOML.
    pub fn file(mut self, path: &Path) -> Result<Self, Mistakes> {
        let shown = path.display().to_string();
        let unreadable = |error: ::config::ConfigError| Mistake::Unreadable {
            origin: format!("--config {shown}"),
            cause: error.to_string(),
        };
        let file = ::config::File::from(path).format(::config::FileFormat::Toml);
        let parsed = ::config::Config::builder().add_source(file).build().map_err(unreadable)?;
        let tables: HashMap<String, ::config::Value> =
            parsed.try_deserialize().map_err(unreadable)?;
        let mut layer = Layer::new();
        for (section, value) in tables {
            flatten(&mut layer, &shown, section, value);
        }
        self.0.push(layer);
        Ok(self)
    }

    /// Adds the local stack of a folder or of the nearest folder above it, if there is one.
    #[must_use]
    pub fn local_stack(mut self, folder: &Path, stack: LocalStack) -> Self {
        let mut files = folder.ancestors().map(|folder| folder.join(".stack/dev.env"));
        let found = files.find_map(|file| {
            std::fs::read_to_string(&file).ok().map(|text| (file.display().to_string(), text))
        });
        if let Some((file, text)) = found {
            self.0.push(stack_layer(&file, &text, stack));
        }
        self
    }
}

/// `TRADEWIND_HTTP__BIND` is `http.bind`. A name that fits no setting stays as it is, so that it
/// can be told as a mistake.
fn key_of_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    match rest.split_once("__") {
        Some((section, key)) => Some(format!("{section}.{key}").to_lowercase()),
        None if CLIENT_VARIABLES.contains(&rest) => Some(format!("client.{}", rest.to_lowercase())),
        None if is_stack_variable(rest) => None,
        None => Some(name.to_owned()),
    }
}

/// `COMMAND_URL`, or `COMMAND_URL_2` of the second node.
fn is_stack_variable(rest: &str) -> bool {
    let numbered = rest.rsplit_once('_').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
    let name = numbered.map_or(rest, |(name, _)| name);
    STACK_VARIABLES.contains(&name)
}

fn flatten(layer: &mut Layer, file: &str, key: String, value: ::config::Value) {
    match value.kind {
        ::config::ValueKind::Table(table) => {
            for (name, value) in table {
                flatten(layer, file, format!("{key}.{name}"), value);
            }
        }
        _ => {
            let origin = format!("{file}: {key}");
            layer.insert(key, Value { text: value.to_string(), origin });
        }
    }
}

fn stack_layer(file: &str, text: &str, stack: LocalStack) -> Layer {
    let database = if stack == LocalStack::Owner { "DATABASE_ADMIN_URL" } else { "DATABASE_URL" };
    let pairs = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = pairs.filter_map(|line| line.split_once('='));
    let keys = pairs.filter_map(|(name, text)| {
        let key = match name.trim() {
            "KAFKA_BOOTSTRAP_SERVERS" => "kafka.bootstrap_servers".to_owned(),
            "TRADEWIND_TOPIC" => "kafka.topic".to_owned(),
            "ANALYST_DATABASE_URL" => "sql.url".to_owned(),
            name if name == database => "postgres.url".to_owned(),
            name => key_of_variable(name)
                .filter(|key| variable(key) == name || key.starts_with("client."))?,
        };
        let value = Value { text: text.trim().to_owned(), origin: format!("{file}: {name}") };
        Some((key, value))
    });
    keys.collect()
}
