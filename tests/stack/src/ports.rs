//! Where the parts listen, always on the loopback interface.

use std::net::TcpListener;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{POSTGRES, PROJECTOR, QUERY_API, broker, command_api};

/// Nodes that a stack may have: as many as it has ports for.
pub const NODES_MAX: usize = 9;

/// The ports for operations come after all others, from a base on.
const OPS_FROM: u16 = 20;

/// How many of the parts that there may be several of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub nodes: usize,
    pub brokers: usize,
}

impl Size {
    pub const SMALL: Self = Self { nodes: 1, brokers: 1 };
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Of the command-api nodes.
    pub nodes: Vec<u16>,
    pub query_api: u16,
    pub projector: u16,
    pub brokers: Vec<BrokerPorts>,
    pub postgres: u16,
    /// Where the services listen for operators and other nodes. A stack of an older release has none.
    #[serde(default)]
    pub ops: OpsPorts,
}

/// Where one broker listens, on the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerPorts {
    pub broker: u16,
    pub controller: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpsPorts {
    pub nodes: Vec<u16>,
    pub query_api: u16,
    pub projector: u16,
}

impl Ports {
    /// The ports that people expect.
    #[must_use]
    pub fn standard(size: Size) -> Self {
        // What comes after 8089 are ports for operations.
        let nodes = std::iter::once(8080).chain(8083..8090).chain(8101..).take(size.nodes);
        let pair = |broker| BrokerPorts { broker, controller: broker + 1 };
        let brokers = (9092..).step_by(2).map(pair).take(size.brokers).collect();
        // Not 5432, where a server of the machine would be.
        let ops = OpsPorts::from_base(8090, size);
        let (query_api, projector, postgres) = (8081, 8082, 54_329);
        Self { nodes: nodes.collect(), query_api, projector, brokers, postgres, ops }
    }

    /// Ports from `base` on. A part's port does not depend on how many others there are.
    ///
    /// # Errors
    /// When they would go beyond the last port.
    pub fn from_base(base: u16, size: Size) -> Result<Self> {
        let last = base.checked_add(OPS_FROM + 2 + u16::try_from(NODES_MAX)?);
        ensure!(last.is_some(), "port base {base} leaves no room below 65536");
        let pair = |plus: u16| BrokerPorts { broker: base + plus, controller: base + plus + 1 };
        let nodes = std::iter::once(0).chain(10..).map(|plus| base + plus);
        Ok(Self {
            nodes: nodes.take(size.nodes).collect(),
            query_api: base + 1,
            projector: base + 2,
            brokers: [3, 6, 8].into_iter().map(pair).take(size.brokers).collect(),
            postgres: base + 5,
            ops: OpsPorts::from_base(base + OPS_FROM, size),
        })
    }

    /// Ports that nobody uses at the moment, for servers that only tests know.
    ///
    /// # Errors
    /// When the machine has none left.
    pub fn free(size: Size) -> Result<Self> {
        let mut free = Free::hold(5 + 2 * size.nodes + 2 * size.brokers)?;
        let pair =
            |free: &mut Free| Ok(BrokerPorts { broker: free.next()?, controller: free.next()? });
        Ok(Self {
            nodes: (0..size.nodes).map(|_| free.next()).collect::<Result<_>>()?,
            query_api: free.next()?,
            projector: free.next()?,
            brokers: (0..size.brokers).map(|_| pair(&mut free)).collect::<Result<_>>()?,
            postgres: free.next()?,
            ops: OpsPorts {
                nodes: (0..size.nodes).map(|_| free.next()).collect::<Result<_>>()?,
                query_api: free.next()?,
                projector: free.next()?,
            },
        })
    }

    /// As many more.
    ///
    /// # Errors
    /// When the machine has none left.
    pub fn more<const COUNT: usize>() -> Result<[u16; COUNT]> {
        let mut free = Free::hold(COUNT)?;
        let mut ports = [0; COUNT];
        for port in &mut ports {
            *port = free.next()?;
        }
        Ok(ports)
    }

    #[must_use]
    pub fn size(&self) -> Size {
        Size { nodes: self.nodes.len(), brokers: self.brokers.len() }
    }

    /// The ports of one part, the one of its clients first.
    #[must_use]
    pub fn of(&self, part: &str) -> Vec<u16> {
        let nodes = self.nodes.iter().zip(&self.ops.nodes);
        let node = (1..).zip(nodes).find(|(number, _)| command_api(*number) == part);
        let server = (1..).zip(&self.brokers).find(|(number, _)| broker(*number) == part);
        match (part, node, server) {
            (_, Some((_, (port, ops))), _) => vec![*port, *ops],
            (_, _, Some((_, ports))) => vec![ports.broker, ports.controller],
            (QUERY_API, ..) => vec![self.query_api, self.ops.query_api],
            (PROJECTOR, ..) => vec![self.projector, self.ops.projector],
            (POSTGRES, ..) => vec![self.postgres],
            _ => vec![],
        }
    }

    /// Refuses ports that another program has.
    ///
    /// # Errors
    /// One that names the first such port and the part that it was meant for.
    pub fn check_free(&self, parts: &[String]) -> Result<()> {
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

impl OpsPorts {
    fn from_base(base: u16, size: Size) -> Self {
        let nodes = std::iter::once(base).chain(base + 3..).take(size.nodes).collect();
        Self { nodes, query_api: base + 1, projector: base + 2 }
    }
}

/// Free ports, all held until the last is chosen, so that they differ.
struct Free(Vec<TcpListener>);

impl Free {
    fn hold(count: usize) -> Result<Self> {
        let held = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)));
        Ok(Self(held.collect::<Result<_, _>>()?))
    }

    fn next(&mut self) -> Result<u16> {
        let listener = self.0.pop().context("a port for each part is held")?;
        Ok(listener.local_addr()?.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_parts_share_a_port_and_growing_moves_none() {
        let large = Size { nodes: NODES_MAX, brokers: 3 };
        let check = |small: Ports, large: Ports| {
            assert!(large.nodes.starts_with(&small.nodes));
            assert!(large.ops.nodes.starts_with(&small.ops.nodes));
            assert!(large.brokers.starts_with(&small.brokers));
            let brokers = large.brokers.iter().flat_map(|ports| [ports.broker, ports.controller]);
            let mut all: Vec<u16> = large.nodes.iter().copied().chain(brokers).collect();
            all.extend([large.query_api, large.projector, large.postgres]);
            all.extend(large.ops.nodes.iter().chain([&large.ops.query_api, &large.ops.projector]));
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count);
        };
        check(Ports::standard(Size::SMALL), Ports::standard(large));
        let from_base = |size| Ports::from_base(27_400, size).unwrap();
        check(from_base(Size::SMALL), from_base(large));
        check(from_base(Size::SMALL), from_base(Size { nodes: 2, brokers: 3 }));
        assert!(Ports::from_base(65_530, Size::SMALL).is_err());
    }
}
