//! The listener as a child of a supervisor.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::connection::Connection;
use super::listener::{Limits, ListenError, Listener};
use crate::child_spec::ChildSpec;
use crate::cluster::certificates::Credentials;
use crate::exit::{ErrorClass, ExitError};

/// Proven connections that wait for their route, which takes them at once.
const ROUTED_MAX: usize = 16;

/// Accepts for as long as a child runs, and hands every proven connection to `route`, which must not block.
///
/// The port is bound before the child starts, so that a wrong address is an error of whoever composes; a restarted child
/// binds the same port again.
#[derive(Debug)]
pub struct Acceptor {
    first: Arc<Mutex<Option<Listener>>>,
    address: SocketAddr,
    credentials: Credentials,
    limits: Limits,
}

impl Acceptor {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// As [`Listener::bind`].
    pub async fn bind(
        address: SocketAddr,
        credentials: Credentials,
        limits: Limits,
    ) -> Result<Self, ListenError> {
        let listener = Listener::bind(address, &credentials, limits.clone()).await?;
        let address = listener.local_address();
        Ok(Self { first: Arc::new(Mutex::new(Some(listener))), address, credentials, limits })
    }

    /// Where it listens.
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The child that accepts.
    pub fn child(self, route: impl Fn(Connection) + Send + Sync + 'static) -> ChildSpec {
        let Self { first, address, credentials, limits } = self;
        let route = Arc::new(route);
        ChildSpec::task("acceptor", move |_| {
            let (first, credentials) = (Arc::clone(&first), credentials.clone());
            let (limits, route) = (limits.clone(), Arc::clone(&route));
            Ok(Box::pin(async move {
                let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                let listener = match first {
                    Some(listener) => listener,
                    None => Listener::bind(address, &credentials, limits).await.map_err(|error| {
                        ExitError::new(ErrorClass::Unavailable, error.to_string()).caused_by(error)
                    })?,
                };
                let (proven, mut connections) = mpsc::channel(ROUTED_MAX);
                let routing = async {
                    while let Some(connection) = connections.recv().await {
                        route(connection);
                    }
                };
                futures::future::join(listener.run(proven), routing).await;
                Ok(())
            }))
        })
    }
}
