//! Who may call which gRPC method. What is not in this table is not served, whatever a service would do with it.

use crate::serve::access::{Access, Role};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Method {
    /// As a request has it.
    pub(in crate::serve) path: &'static str,
    /// Who may call it.
    pub(in crate::serve) access: Access,
}

/// Everything that is served over gRPC. What Flight has and this server has not is here too: it answers with a sentence.
pub(in crate::serve) const METHODS: [Method; 12] = [
    // A probe has no token.
    Method { path: "/grpc.health.v1.Health/Check", access: Access::Open },
    Method { path: "/grpc.health.v1.Health/Watch", access: Access::Open },
    of_flight("/arrow.flight.protocol.FlightService/ListFlights"),
    of_flight("/arrow.flight.protocol.FlightService/GetFlightInfo"),
    of_flight("/arrow.flight.protocol.FlightService/GetSchema"),
    of_flight("/arrow.flight.protocol.FlightService/DoGet"),
    of_flight("/arrow.flight.protocol.FlightService/PollFlightInfo"),
    of_flight("/arrow.flight.protocol.FlightService/ListActions"),
    of_flight("/arrow.flight.protocol.FlightService/DoAction"),
    of_flight("/arrow.flight.protocol.FlightService/DoPut"),
    of_flight("/arrow.flight.protocol.FlightService/DoExchange"),
    of_flight("/arrow.flight.protocol.FlightService/Handshake"),
];

const fn of_flight(path: &'static str) -> Method {
    Method { path, access: Access::Of(Role::Viewer) }
}

/// The row of a request.
pub(super) fn find(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}
