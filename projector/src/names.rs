//! States have names, by which they are stored, shown and asked for.

/// An enum's names, which are those that serde writes.
macro_rules! named {
    ($state:ident { $($variant:ident => $name:literal,)+ }) => {
        impl $state {
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::str::FromStr for $state {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    other => Err(other.to_owned()),
                }
            }
        }

        impl TryFrom<String> for $state {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    };
}

pub(crate) use named;
