//! `orrery token`: a secret for somebody who asks a node over HTTP, and the line that lets it in.

use serde_json::json;

use crate::cli::TokenArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::serve::new_token;

/// Prints a token, once: the node keeps its hash alone.
pub(crate) fn run(args: &TokenArgs, console: &Console) -> Result<(), Failure> {
    let random = |bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes).map_err(|_| "no random bytes".to_owned());
    let (token, hashed) = new_token(&args.name, args.role, random)
        .map_err(|problem| Failure::Usage(format!("{}: {problem}", args.name)))?;
    console.result(&[("token", json!(token)), ("configuration", json!(hashed))])?;
    console.text(format_args!(
        "\nGive the token to {}; it is not shown again. Let it in with, in the node's configuration:\n\n  \
         [http]\n  tokens = [\"{hashed}\"]\n\nIt asks with: curl -H 'Authorization: Bearer TOKEN' http://HOST:PORT/v1/status",
        args.name
    ))
}
