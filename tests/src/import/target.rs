//! The system that is imported into: the local stack, unless another is named.

use anyhow::{Context, Result};

use stack::{dev_env, folder::Folder};

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct TargetArgs {
    /// Where commands go [default: the local stack]
    #[arg(long, env = "TRADEWIND_COMMAND_URL", value_name = "URL")]
    command_url: Option<String>,
    /// Where questions go [default: the local stack]
    #[arg(long, env = "TRADEWIND_QUERY_URL", value_name = "URL")]
    query_url: Option<String>,
    /// An API key with the roles staff and analyst [default: the local stack's]
    #[arg(long, env = "TRADEWIND_OPERATOR_KEY", hide_env_values = true, value_name = "KEY")]
    operator_key: Option<String>,
}

/// Where to send what, and as whom. No `Debug`: it carries a key.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) command_url: String,
    pub(crate) query_url: String,
    pub(crate) operator_key: String,
}

impl TargetArgs {
    pub(crate) fn target(&self, folder: &Folder) -> Result<Target> {
        let local = |given: &Option<String>, name: &str| match given {
            Some(given) => Ok(given.trim_end_matches('/').to_owned()),
            None => variable(&dev_env::read(folder)?, name),
        };
        Ok(Target {
            command_url: local(&self.command_url, "TRADEWIND_COMMAND_URL")?,
            query_url: local(&self.query_url, "TRADEWIND_QUERY_URL")?,
            operator_key: local(&self.operator_key, "TRADEWIND_OPERATOR_KEY")?,
        })
    }
}

/// The value of a line `NAME=value`.
pub(crate) fn variable(env: &str, name: &str) -> Result<String> {
    env.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
        .with_context(|| format!("{} does not tell {name}: `cargo stack up`", dev_env::FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_another_is_not_taken_for_it() {
        let env = "TRADEWIND_COMMAND_URL_1=b\nTRADEWIND_COMMAND_URL=a\n";
        assert_eq!(variable(env, "TRADEWIND_COMMAND_URL").unwrap(), "a");
        assert!(variable(env, "TRADEWIND_COMMAND").is_err());
    }
}
