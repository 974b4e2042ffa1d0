//! Arguments of `orrery token`.

use clap::Args;

use crate::serve::Role;

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Whose it is, as requests are counted and audited: letters, digits and -_.@
    pub(crate) name: String,
    /// What it allows: viewer, operator or admin.
    #[arg(long, default_value_t = Role::Viewer)]
    pub(crate) role: Role,
}
