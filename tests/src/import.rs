//! `cargo stack import completejourney`: a year of a grocer's receipts through the public API.
//!
//! 1. The data set is fetched once ([`source`]) and read row by row ([`table`]). One reading tells
//!    which products the chosen baskets need ([`input`]) and what must come out ([`expectation`]).
//! 2. Products, then carts and checkouts go to the command API in batches ([`command`],
//!    [`gateway`]). Ids and Idempotency-Keys follow from the data set: an import that was cut off
//!    goes on where it stopped, and a second one adds nothing.
//! 3. Once every order is confirmed or rejected ([`found`]), the read models are compared with
//!    the expectation ([`compare`]). A difference ends the import with exit code 3.
//!
//! **Invariant:** nothing here reads or writes behind the public APIs.

mod basket;
mod command;
mod compare;
mod expectation;
mod found;
mod gateway;
mod input;
mod number;
mod progress;
pub(crate) mod queries;
mod report;
mod source;
mod table;
pub(crate) mod target;

use std::{io::IsTerminal, ops::Range, process::ExitCode};

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::task;

use basket::Basket;
use compare::SalesReport;
use found::Found;
use gateway::Gateway;
use input::{Input, Need};
use number::ProductNumber;
use progress::Phase;
use queries::{Days, Queries};
use report::Report;
use stack::{console, folder::Folder};
use target::{Target, TargetArgs};

/// Create, publish, receive stock.
const COMMANDS_PER_PRODUCT: u64 = 3;
/// Create a cart, check it out.
const COMMANDS_PER_BASKET: u64 = 2;
/// Commands of one request.
const BATCH_COMMANDS: usize = 100;
/// Requests under way at a time.
const BATCHES_UNDER_WAY: usize = 8;
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
    baskets: Option<u32>,
    /// Receive N units of each SKU that has no stock yet [default: what the whole year sells of it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seed_stock: Option<u32>,
    /// Print JSON lines, also on a terminal
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
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
pub(crate) async fn read(window: Range<usize>) -> Result<Input> {
    let files = source::fetch().await?;
    task::spawn_blocking("read the data set", move || Input::read(files, window)).await?
}

/// An import, step by step.
pub(crate) struct Import {
    pub(crate) input: Input,
    pub(crate) gateway: Gateway,
    pub(crate) queries: Queries,
    seed_stock: Option<u32>,
    json: bool,
}

impl Import {
    pub(crate) fn new(
        input: Input,
        seed_stock: Option<u32>,
        target: &Target,
        json: bool,
    ) -> Result<Self> {
        let (gateway, queries) = (Gateway::new(target)?, Queries::new(target)?);
        Ok(Self { input, gateway, queries, seed_stock, json })
    }

    /// Sends every command and waits for its answer. Products are created, published and stocked
    /// before the baskets that sell them; a cart is there before it is checked out. Within a step
    /// everything is sent side by side.
    pub(crate) async fn post(&self) -> Result<()> {
        let products = u64::try_from(self.input.new_products.len())? * COMMANDS_PER_PRODUCT;
        let phase = Phase::start("products", products, self.json);
        self.post_products(&phase).await?;
        drop(phase);
        let phase = Phase::start("baskets", self.orders()? * COMMANDS_PER_BASKET, self.json);
        self.post_baskets(&phase).await
    }

    /// The products that the chosen baskets sell.
    async fn post_products(&self, phase: &Phase) -> Result<()> {
        let batches = self.input.new_products.chunks(BATCH_COMMANDS).map(|needs| async move {
            let create = |(product, need): &(ProductNumber, Need)| {
                command::create_product(*product, need, &self.input.catalogue)
            };
            self.gateway.send(needs.iter().map(create).collect(), phase).await?;
            let publish = |(product, _): &(ProductNumber, Need)| command::publish_product(*product);
            self.gateway.send(needs.iter().map(publish).collect(), phase).await?;
            let receive = |(product, need): &(ProductNumber, Need)| {
                let sold = u32::try_from(need.units_sold)?;
                Ok(command::receive_stock(*product, self.seed_stock.unwrap_or(sold)))
            };
            self.gateway.send(needs.iter().map(receive).collect::<Result<_>>()?, phase).await
        });
        stream::iter(batches).buffer_unordered(BATCHES_UNDER_WAY).try_collect().await
    }

    /// The chosen baskets: a cart and its checkout each.
    async fn post_baskets(&self, phase: &Phase) -> Result<()> {
        let baskets = self.input.baskets()?;
        let baskets = baskets.filter(|it| it.as_ref().map_or(true, |it| !it.lines.is_empty()));
        let price_of = |product| self.input.needs.get(&product).map(|need| need.unit_price);
        stream::iter(baskets)
            .chunks(BATCH_COMMANDS)
            .map(|baskets| async move {
                let baskets: Vec<Basket> = baskets.into_iter().collect::<Result<_>>()?;
                let carts = baskets.iter().map(|basket| command::create_cart(basket, price_of));
                self.gateway.send(carts.collect::<Result<_>>()?, phase).await?;
                self.gateway.send(baskets.iter().map(command::check_out).collect(), phase).await
            })
            .buffer_unordered(BATCHES_UNDER_WAY)
            .try_collect()
            .await
    }

    /// Waits until every order is confirmed or rejected, and shown.
    pub(crate) async fn settle(&self) -> Result<Found> {
        let phase = Phase::start("settling", self.orders()?, self.json);
        found::settled(&self.queries, &self.input.expectation, &phase).await
    }

    /// Compares what was found with what was expected.
    pub(crate) async fn reconcile(&self, found: &Found) -> Result<Report> {
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
