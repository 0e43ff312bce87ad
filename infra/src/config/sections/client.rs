//! How commands reach a service that runs.

use secrecy::SecretString;

use crate::config::{Reader, Setting};

const PROJECTOR_URL: Setting = Setting {
    key: "client.projector_url",
    doc: "Where operators' commands reach a projector; `TRADEWIND_PROJECTOR_URL` is the same.",
    allowed: "a URL such as http://127.0.0.1:8082",
    default: None,
};
const COMMAND_URL: Setting = Setting {
    key: "client.command_url",
    doc: "Where operators' commands reach a command API; `TRADEWIND_COMMAND_URL` is the same.",
    allowed: "a URL such as http://127.0.0.1:8080",
    default: None,
};
const OPERATOR_KEY: Setting = Setting {
    key: "client.operator_key",
    doc: "The API key that operators' commands show; `TRADEWIND_OPERATOR_KEY` is the same.",
    allowed: "an API key with the role operator",
    default: None,
};

#[derive(Clone, Debug)]
pub struct Client {
    /// Of the service, without a slash at its end.
    pub url: String,
    pub operator_key: SecretString,
}

impl Client {
    pub fn of_projector(reader: &mut Reader<'_>) -> Option<Self> {
        Self::read(reader, &PROJECTOR_URL)
    }

    pub fn of_command_api(reader: &mut Reader<'_>) -> Option<Self> {
        Self::read(reader, &COMMAND_URL)
    }

    fn read(reader: &mut Reader<'_>, url: &'static Setting) -> Option<Self> {
        let url = reader.get_with(url, |text| {
            let url = text.trim_end_matches('/');
            (url.starts_with("http://") || url.starts_with("https://")).then(|| url.to_owned())
        });
        let operator_key = reader.secret(&OPERATOR_KEY);
        Some(Self { url: url?, operator_key: operator_key? })
    }
}
