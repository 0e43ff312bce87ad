//! The parties that share common limits: each client has one share, however many requests it sends.

use std::net::{IpAddr, SocketAddr};

use axum::{extract::ConnectInfo, http::request::Parts};
use domain::api_key::ApiKeyId;

use super::Caller;
use crate::http::client::Network;

/// One party, as far as it cannot pretend to be many.
///
/// A cart's token does not count as one, for a client can get any number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    Key(ApiKeyId),
    Network(Network),
    /// A request that came over no connection, as in tests.
    Unknown,
}

impl Client {
    /// Before it is known whose key a request brings.
    #[must_use]
    pub fn of_connection(parts: &Parts) -> Self {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Self::of_address(address.map(|ConnectInfo(address)| address.ip()))
    }

    fn of_address(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Unknown, |address| Self::Network(address.into()))
    }
}

impl From<&Caller> for Client {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Key { id, .. } => Self::Key(*id),
            Caller::Anonymous { address, .. } => Self::of_address(*address),
        }
    }
}
