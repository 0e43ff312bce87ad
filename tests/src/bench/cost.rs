//! What a command costs the running stack: processor time of each process, commits and bytes in
//! PostgreSQL, requests at the broker; with one client, at rates that grow, at the top, and without any.
//!
//! Everything counts that the stack does while the commands come, whatever it does it for: what it takes
//! without any command is measured, too. A rate that it cannot keep up with says so by the commands per
//! second that came of it, and by how late they were sent. The load's own time is told apart.
//!
//! **Invariant:** before each load the read models have caught up, so that no load pays for another.

mod case;
mod database;
mod processes;
mod requests;
mod spent;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep_until};

use super::{
    http::Load,
    level::level,
    pace::{Schedule, Sent},
    process::cpu_time,
};
use crate::import::target::Target;
use case::{Case, Sending};
use database::{Database, TOLD_WITHIN};
use requests::Requests;
use spent::{Reading, Spent};
use stack::{console, folder::Folder, secrets::Secrets, state::StackState, status::Status};

const WARM_UP: Duration = Duration::from_secs(2);
const ROUND: Duration = Duration::from_secs(10);
/// The load goes on until what it costs has been read.
const READING_MAX: Duration = Duration::from_millis(500);

pub(super) async fn run(rounds: usize, folder: &Folder, target: &Target) -> Result<()> {
    let load = Load::new(&target.command_url, &target.operator_key)?;
    load.warm_up().await?;
    level(target).await?;
    let mut meters = Meters::of(folder).await?;
    for case in &Case::ALL {
        let mut spent = Spent::default();
        for _ in 0..rounds {
            let mut round = measure(case.sending, &load, &mut meters).await?;
            let ended = Instant::now();
            level(target).await?;
            round.left_over = ended.elapsed().as_secs_f64();
            spent.add(round);
        }
        match case.sending {
            Sending::Nothing => spent.print_idle(rounds)?,
            Sending::InTurn(_) | Sending::PerSecond(_) => spent.print(case, rounds)?,
        }
    }
    Ok(())
}

/// What the stack spends while commands come for [`ROUND`].
async fn measure(sending: Sending, load: &Load, meters: &mut Meters) -> Result<Spent> {
    let warm_up = if matches!(sending, Sending::Nothing) { TOLD_WITHIN } else { WARM_UP };
    let begins = Instant::now() + warm_up;
    let ends = begins + ROUND;
    let answered = AtomicU32::new(0);
    let sent = send(sending, load, warm_up + ROUND + READING_MAX, &answered);
    let metered = meters.between(begins, ends, &answered);
    let (sent, mut spent) = tokio::try_join!(sent, metered)?;
    spent.late =
        sent.iter().filter(|sent| (begins..ends).contains(&sent.due)).map(Sent::late).collect();
    Ok(spent)
}

/// Counts the answers as they come; tells of commands that had a schedule.
async fn send(
    sending: Sending,
    load: &Load,
    lasting: Duration,
    answered: &AtomicU32,
) -> Result<Vec<Sent<()>>> {
    let command = async |index: usize| {
        load.send(index).await?;
        answered.fetch_add(1, Ordering::Relaxed);
        anyhow::Ok(())
    };
    match sending {
        Sending::Nothing => Ok(vec![]),
        Sending::PerSecond(rate) => {
            let schedule = Schedule::new(rate, lasting);
            schedule.keep(async |index, _| command(usize::try_from(index)?).await).await
        }
        Sending::InTurn(clients) => {
            let until = Instant::now() + lasting;
            let clients = (0..clients).map(async |client| {
                for index in (client..).step_by(clients) {
                    if Instant::now() >= until {
                        break;
                    }
                    command(index).await?;
                }
                anyhow::Ok(())
            });
            try_join_all(clients).await?;
            Ok(vec![])
        }
    }
}

/// All that is read of the stack. Servers that were there before it are others' as well, so of their
/// processes nothing is known.
struct Meters {
    parts: Vec<String>,
    pids: Vec<i32>,
    database: Database,
    /// None where they cannot be counted.
    requests: Option<Requests>,
}

impl Meters {
    async fn of(folder: &Folder) -> Result<Self> {
        let state = StackState::read(folder)?.context("the stack has a state")?;
        let database = Database::connect(&state.admin_url(&Secrets::of(folder)?)).await?;
        let parts = Status::of(folder).await?.parts.into_iter();
        let (parts, pids): (Vec<_>, Vec<_>) =
            parts.filter_map(|part| Some((part.name, part.pid?))).unzip();
        let all = parts.iter().zip(&pids);
        let brokers: Vec<_> =
            all.filter(|(part, _)| part.starts_with("kafka")).map(|(_, pid)| *pid).collect();
        let requests = match Requests::of(&brokers).await {
            Ok(requests) => (!brokers.is_empty()).then_some(requests),
            Err(error) => {
                console::step(&format!("requests at the broker are not counted: {error:#}"));
                None
            }
        };
        Ok(Self { parts, pids, database, requests })
    }

    async fn between(
        &mut self,
        begins: Instant,
        ends: Instant,
        answered: &AtomicU32,
    ) -> Result<Spent> {
        sleep_until(begins).await;
        // Being asked for its requests costs the broker something, which is not to be part of it.
        let (asked, requests) = (Instant::now(), self.requests().await?);
        let before = self.read(answered).await?;
        sleep_until(ends).await;
        let after = self.read(answered).await?;
        let asked = asked.elapsed().as_secs_f64();
        let requests = self.requests().await?.zip(requests).map(|(after, before)| after - before);
        let mut spent = Spent::between(&self.parts, &before, &after);
        spent.requests = requests.map(|requests| requests / asked * spent.seconds);
        Ok(spent)
    }

    async fn requests(&mut self) -> Result<Option<f64>> {
        match &mut self.requests {
            Some(requests) => requests.answered().await.map(Some),
            None => Ok(None),
        }
    }

    async fn read(&mut self, answered: &AtomicU32) -> Result<Reading> {
        let counts = self.database.counts().await?;
        let seconds = processes::seconds(&self.pids)?;
        let (own, at) = (cpu_time()?, Instant::now());
        Ok(Reading { at, answered: answered.load(Ordering::Relaxed), seconds, own, counts })
    }
}
