//! Why a command on an API key is refused, in words for the client.

use crate::aggregate::RejectionKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no API key with this id")]
    NotFound,
    #[error("an API key with this id was issued before: use another id")]
    Exists,
    #[error("name must not be empty")]
    NameEmpty,
    #[error("roles must name at least one role")]
    RolesEmpty,
    #[error("expires_at must lie in the future")]
    ExpiresInPast,
}

impl Rejection {
    /// Stable, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "api_key.not_found",
            Self::Exists => "api_key.exists",
            Self::NameEmpty => "api_key.name_empty",
            Self::RolesEmpty => "api_key.roles_empty",
            Self::ExpiresInPast => "api_key.expires_in_past",
        }
    }

    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::NotFound,
            Self::Exists => RejectionKind::Conflict,
            Self::NameEmpty | Self::RolesEmpty | Self::ExpiresInPast => RejectionKind::Rule,
        }
    }
}
