//! The arguments that every binary takes.

use std::path::PathBuf;

use super::{Layers, Loaded, LocalStack, Mistakes, Settings};

#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Read settings from this TOML file; the environment overrides it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print the effective settings, secrets masked, and exit
    #[arg(long, global = true)]
    pub check_config: bool,
}

impl Args {
    /// Reads all settings.
    ///
    /// # Errors
    /// All mistakes at once; the process should end with [`super::EXIT_CODE`].
    pub fn load<S: Settings>(&self, stack: LocalStack) -> Result<Loaded<S>, Mistakes> {
        Layers::of_process(self.config.as_deref(), stack)?.load()
    }
}
