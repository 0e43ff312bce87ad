//! Where the parts listen, always on the loopback interface.

use std::net::TcpListener;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{COMMAND_API, KAFKA, POSTGRES, PROJECTOR, QUERY_API, kafka};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub command_api: u16,
    pub query_api: u16,
    pub projector: u16,
    pub kafka: u16,
    pub kafka_controller: u16,
    pub postgres: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            command_api: 8080,
            query_api: 8081,
            projector: 8082,
            kafka: 9092,
            kafka_controller: 9093,
            // Not 5432, where a server of the machine would be.
            postgres: 54_329,
        }
    }
}

impl Ports {
    /// Six ports from `base` on.
    ///
    /// # Errors
    /// When they would go beyond the last port.
    pub fn from_base(base: u16) -> Result<Self> {
        let port = |plus| base.checked_add(plus).with_context(|| format!("port base {base}"));
        Ok(Self {
            command_api: port(0)?,
            query_api: port(1)?,
            projector: port(2)?,
            kafka: port(3)?,
            kafka_controller: port(4)?,
            postgres: port(5)?,
        })
    }

    /// Ports that nobody uses at the moment, for servers that only tests know.
    ///
    /// # Errors
    /// When the machine has none left.
    pub fn free() -> Result<Self> {
        // All are held until the last is chosen, so that they differ.
        let held: Vec<TcpListener> =
            (0..6).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
        let mut ports = held.iter().map(|listener| listener.local_addr().map(|at| at.port()));
        let mut port = || ports.next().context("six ports are held")?.context("a bound port");
        Ok(Self {
            command_api: port()?,
            query_api: port()?,
            projector: port()?,
            kafka: port()?,
            kafka_controller: port()?,
            postgres: port()?,
        })
    }

    #[must_use]
    pub fn of_kafka(&self) -> kafka::Ports {
        kafka::Ports { broker: self.kafka, controller: self.kafka_controller }
    }

    /// The ports of one part.
    #[must_use]
    pub fn of(&self, part: &str) -> Vec<u16> {
        match part {
            COMMAND_API => vec![self.command_api],
            QUERY_API => vec![self.query_api],
            PROJECTOR => vec![self.projector],
            KAFKA => vec![self.kafka, self.kafka_controller],
            POSTGRES => vec![self.postgres],
            _ => vec![],
        }
    }

    /// Refuses ports that another program has.
    ///
    /// # Errors
    /// One that names the first such port and the part that it was meant for.
    pub fn check_free(&self, parts: &[&str]) -> Result<()> {
        for part in parts {
            for port in self.of(part) {
                if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
                    bail!(
                        "port {port} for {part} cannot be used ({error}): another program has it; end that \
                         program, or move the stack with --port-base"
                    );
                }
            }
        }
        Ok(())
    }
}
