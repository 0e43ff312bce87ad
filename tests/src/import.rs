//! `cargo stack import completejourney`: a year of a grocer's receipts through the public API.
//!
//! 1. The data set is fetched once ([`source`]) and read row by row ([`table`]). One reading tells
//!    which products the chosen baskets need ([`demand`]) and what must come out ([`expectation`]).
//! 2. Products, then carts and checkouts go to the command API in batches ([`feed`], [`command`],
//!    [`gateway`]). Ids and Idempotency-Keys follow from the data set: an import that was cut off
//!    goes on where it stopped, and a second one adds nothing.
//! 3. Once every order is confirmed or rejected ([`settle`]), the read models are compared with
//!    the expectation ([`compare`]). A difference ends the import with exit code 3.
//!
//! **Invariant:** nothing here reads or writes behind the public APIs.

pub mod basket;
pub mod catalogue;
pub mod cents;
pub mod command;
pub mod compare;
pub mod demand;
pub mod expectation;
pub mod feed;
pub mod found;
pub mod gateway;
pub mod id;
pub mod input;
pub mod progress;
pub mod queries;
pub mod report;
#[cfg(test)]
mod samples;
pub mod settle;
pub mod source;
pub mod table;
pub mod target;

use std::{io::IsTerminal, ops::Range, process::ExitCode};

use anyhow::Result;
use infra::task;

use crate::stack::{console, folder::Folder};
use compare::SalesReport;
use found::Found;
use gateway::Gateway;
use input::Input;
use progress::Phase;
use queries::{Days, Queries};
use report::Report;
use target::{Target, TargetArgs};

/// Verification found differences.
const EXIT_DIFFERENT: u8 = 3;

/// Posts a year of a grocer's receipts and checks that the read models say the same.
///
/// Only products that the chosen baskets sell are created: the data set knows no price of the
/// others. An import may be repeated at any time, also with more baskets; it adds what is missing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo stack import completejourney --baskets 2000\n  \
    cargo stack import completejourney --json\n\n\
    Exit codes: 0 reconciled, 1 failed, 2 usage, 3 the read models differ")]
pub struct Args {
    /// The data set
    #[arg(value_enum)]
    pub data_set: DataSet,
    /// Import only the first N baskets of the file [default: all 155,848]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub baskets: Option<u32>,
    /// Receive N units of each SKU that has no stock yet [default: what the whole year sells of it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seed_stock: Option<u32>,
    /// Print JSON lines, also on a terminal
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DataSet {
    /// The Complete Journey, by 84.51°: 1.5 million receipt lines of 2017
    #[value(name = "completejourney")]
    CompleteJourney,
}

/// # Errors
/// If the data set or a service cannot be reached.
pub async fn run(args: &Args, folder: &Folder) -> Result<ExitCode> {
    let target = args.target.target(folder)?;
    let json = args.json || !std::io::stdout().is_terminal();
    let baskets_max = args.baskets.map(usize::try_from).transpose()?.unwrap_or(usize::MAX);
    let input = read(0..baskets_max).await?;
    let import = Import::new(input, args.seed_stock, &target, json)?;
    import.post().await?;
    let found = import.settle().await?;
    let report = import.reconcile(&found).await?;
    console::line(&if json { serde_json::to_string(&report)? } else { report.text() });
    Ok(if report.is_reconciled() { ExitCode::SUCCESS } else { EXIT_DIFFERENT.into() })
}

/// Fetches the data set and chooses baskets by their place in the file.
///
/// # Errors
/// If it cannot be fetched or read.
pub async fn read(window: Range<usize>) -> Result<Input> {
    let files = source::fetch().await?;
    task::spawn_blocking("read the data set", move || Input::read(files, window)).await?
}

/// An import, step by step.
pub struct Import {
    pub input: Input,
    pub gateway: Gateway,
    pub queries: Queries,
    seed_stock: Option<u32>,
    json: bool,
}

impl Import {
    /// # Errors
    /// If the target's addresses are none.
    pub fn new(input: Input, seed_stock: Option<u32>, target: &Target, json: bool) -> Result<Self> {
        let (gateway, queries) = (Gateway::new(target)?, Queries::new(target)?);
        Ok(Self { input, gateway, queries, seed_stock, json })
    }

    /// Sends every command and waits for its answer.
    ///
    /// # Errors
    /// If the command API cannot be reached or refuses a whole batch.
    pub async fn post(&self) -> Result<()> {
        let products = u64::try_from(self.input.new_products.len())? * feed::COMMANDS_PER_PRODUCT;
        let phase = Phase::start("products", products, self.json);
        feed::products(&self.input, self.seed_stock, &self.gateway, &phase).await?;
        drop(phase);
        let baskets = self.orders()? * feed::COMMANDS_PER_BASKET;
        let phase = Phase::start("baskets", baskets, self.json);
        feed::baskets(&self.input, &self.gateway, &phase).await
    }

    /// Waits until every order is confirmed or rejected, and shown.
    ///
    /// # Errors
    /// If the query API cannot be reached.
    pub async fn settle(&self) -> Result<Found> {
        let phase = Phase::start("settling", self.orders()?, self.json);
        settle::wait(&self.queries, &self.input.expectation, &phase).await
    }

    /// Compares what was found with what was expected.
    ///
    /// # Errors
    /// If the query API cannot be reached.
    pub async fn reconcile(&self, found: &Found) -> Result<Report> {
        let expectation = &self.input.expectation;
        let mut report = SalesReport::default();
        if let Some(days) = Days::of(expectation) {
            report.total = self.queries.sales(days, "").await?;
            report.cells = self.queries.sales(days, "department,week").await?;
        }
        let differences = compare::differences(expectation, found, &report);
        let set_aside = (expectation.left_out(), expectation.completed);
        Ok(Report::new(&self.gateway.tally(), set_aside, found.sums(), differences))
    }

    fn orders(&self) -> Result<u64> {
        Ok(u64::try_from(self.input.expectation.orders.len())?)
    }
}
