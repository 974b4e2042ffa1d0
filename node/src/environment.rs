//! Environment variables, looked up by name where something is opened that needs credentials.

/// The variable's value; one that is empty counts as not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
