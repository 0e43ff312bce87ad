//! How many requests the brokers have answered: those of clients, of other brokers, and those that a
//! broker sends to itself as a controller.
//!
//! Kafka tells that by JMX alone. A program of Java attaches to a broker, as a debugger does, and reads the
//! counters when it is asked to: so brokers run as they always do, and nothing is done between two
//! readings. It needs a JDK where the broker needs only a JRE.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use stack::{folder::workspace, tool};

const PROGRAM: &str = "tests/kafka/Requests.java";
/// It runs for a moment, and then does nothing.
const JVM: [&str; 3] = ["-Xmx32m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
/// The first answer waits for the program to be compiled.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) struct Requests(Vec<Reader>);

struct Reader {
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Ends with this.
    _program: Child,
}

impl Requests {
    /// Of the brokers with these pids.
    pub(super) async fn of(brokers: &[i32]) -> Result<Self> {
        let mut readers = Vec::new();
        for pid in brokers {
            readers.push(Reader::start(*pid).await?);
        }
        let mut requests = Self(readers);
        // What the first look takes of the broker is not part of what is measured.
        requests.answered().await?;
        Ok(requests)
    }

    /// Since the brokers were started.
    pub(super) async fn answered(&mut self) -> Result<f64> {
        let mut sum = 0.0;
        for reader in &mut self.0 {
            sum += timeout(ANSWER_WAIT_MAX, reader.read()).await.context("no count in time")??;
        }
        Ok(sum)
    }
}

impl Reader {
    async fn start(pid: i32) -> Result<Self> {
        let mut program = Command::new(tool::java().await?)
            .args(JVM)
            .arg(workspace().join(PROGRAM))
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let questions = program.stdin.take().context("its input")?;
        let answers = program.stdout.take().context("its output")?;
        Ok(Self { questions, answers: BufReader::new(answers).lines(), _program: program })
    }

    async fn read(&mut self) -> Result<f64> {
        self.questions.write_all(b"\n").await?;
        let answer = self.answers.next_line().await?.context("it has ended: is there a JDK?")?;
        Ok(answer.parse()?)
    }
}
