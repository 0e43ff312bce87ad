//! What an error of PostgreSQL means for whoever meets it: one place for all services. The codes are those
//! of appendix A of its manual; the first two characters are the class.

use std::borrow::Cow;

use sqlx::Error;

/// Values out of range, constraints, and limits such as the size of an index entry.
const DATA: [&str; 3] = ["22", "23", "54"];
/// The statement itself: a table that is not there, a permission, a wrong type.
const STATEMENT: &str = "42";
/// What does not speak of the statement: no connection, no entry, no database or schema, no resources,
/// stopped by somebody, system trouble.
const AWAY: [&str; 7] = ["08", "28", "3D", "3F", "53", "57", "58"];
/// No connection, a conflict with another transaction, no resources, a lock, stopped by somebody, system
/// trouble.
const PASSING: [&str; 6] = ["08", "40", "53", "55", "57", "58"];
/// An end by an operator or by a time that ran out between statements, a crash, a start.
const SESSION_ENDS: [&str; 5] = ["57P01", "57P02", "57P03", "57P05", "25P03"];
const UNDEFINED_TABLE: &str = "42P01";
const STATEMENT_TIMEOUT: &str = "57014";
const LOCK_TIMEOUT: &str = "55P03";

/// The server's code, if the error is the server's.
#[must_use]
pub fn code(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// Whether PostgreSQL, or the row as it is stored, refuses what the data amount to. The same data will be
/// refused again.
#[must_use]
pub fn is_about_data(error: &Error) -> bool {
    matches!(error, Error::ColumnDecode { .. } | Error::Decode(_) | Error::Encode(_))
        || is_of(error, &DATA)
}

/// Whether the same may work later. What PostgreSQL refuses because of the data or of the statement
/// itself it will refuse again; a full disk, a server that stops, recovers or has no connection left, a
/// lock or a time that ran out will pass.
#[must_use]
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Database(_) => !is_about_data(error) && !is_of(error, &[STATEMENT]),
        error => is_broken(error),
    }
}

/// Whether the session is over, whatever the statement was.
#[must_use]
pub fn ends_session(error: &Error) -> bool {
    is_broken(error)
        || is_of(error, &["08"])
        || code(error).is_some_and(|code| SESSION_ENDS.contains(&&*code))
}

/// Whether the database, or what is read there, is not there now.
#[must_use]
pub fn is_away(error: &Error) -> bool {
    is_broken(error) || is_of(error, &AWAY) || code(error).as_deref() == Some(UNDEFINED_TABLE)
}

/// Whether the same may work in a moment: the server is away, or somebody else holds what is needed.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    match error {
        Error::Database(refused) => refused.code().is_none() || is_of(error, &PASSING),
        _ => true,
    }
}

/// Whether the server stopped a statement that took too long.
#[must_use]
pub fn is_statement_timeout(error: &Error) -> bool {
    code(error).as_deref() == Some(STATEMENT_TIMEOUT)
}

/// Whether the server stopped a statement that waited too long for somebody else.
#[must_use]
pub fn is_lock_timeout(error: &Error) -> bool {
    code(error).as_deref() == Some(LOCK_TIMEOUT)
}

fn is_broken(error: &Error) -> bool {
    matches!(
        error,
        Error::Io(_)
            | Error::Tls(_)
            | Error::Protocol(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::BeginFailed
            | Error::WorkerCrashed
    )
}

fn is_of(error: &Error, classes: &[&str]) -> bool {
    code(error).is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    #[derive(Debug)]
    struct Refusal(&'static str);

    impl fmt::Display for Refusal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Refusal {}

    impl DatabaseError for Refusal {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    /// Whether it is about the data, may work later, ends the session, is away, may work in a moment.
    #[track_caller]
    fn check(code: &'static str, expected: [bool; 5]) {
        let error = Error::Database(Box::new(Refusal(code)));
        let (data, transient) = (is_about_data(&error), is_transient(&error));
        let found = [data, transient, ends_session(&error), is_away(&error), is_passing(&error)];
        assert_eq!(found, expected, "{code}");
    }

    #[test]
    fn codes_tell_what_passes_from_what_will_be_refused_again() {
        check("22003", [true, false, false, false, false]);
        check("23505", [true, false, false, false, false]);
        check("54000", [true, false, false, false, false]);
        check("42703", [false, false, false, false, false]);
        check("42P01", [false, false, false, true, false]);
        check("55P03", [false, true, false, false, true]);
        check("40P01", [false, true, false, false, true]);
        check("57014", [false, true, false, true, true]);
        check("53100", [false, true, false, true, true]);
        check("57P01", [false, true, true, true, true]);
        check("57P03", [false, true, true, true, true]);
        check("08006", [false, true, true, true, true]);
    }

    #[test]
    fn a_connection_that_breaks_is_nobodys_fault() {
        for broken in [Error::Io(std::io::ErrorKind::BrokenPipe.into()), Error::PoolTimedOut] {
            assert!(ends_session(&broken) && is_transient(&broken) && is_away(&broken));
        }
        for own in [Error::RowNotFound, Error::Decode("no such row".into())] {
            assert!(!ends_session(&own) && !is_transient(&own) && !is_away(&own));
        }
    }
}
