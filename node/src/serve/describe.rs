//! What an endpoint says of itself for the API's description: its parameters, and what it answers. It stands beside the
//! handler, so that there is no second list to forget.

use serde_json::{Value, json};

use super::router::Endpoint;

/// What an endpoint takes and gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) parameters: Vec<Parameter>,
    /// Media types of a good answer, with their JSON schemas; none says nothing of the answer.
    pub(crate) answers: Vec<(&'static str, Value)>,
    /// Whether the same content comes with 503, which is no refusal: the answer is that something is not so.
    pub(crate) is_also_unwell: bool,
    /// Whether good answers may have a tag that a client may give back.
    pub(crate) is_tagged: bool,
    /// Whether the good answer is a WebSocket.
    pub(crate) is_socket: bool,
}

/// A parameter; one whose name is in the path's template is in the path, the others are in the query.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) schema: Value,
    pub(crate) is_required: bool,
    pub(crate) is_header: bool,
}

impl Parameter {
    /// One that may be left out.
    pub(crate) fn new(name: &'static str, description: &'static str, schema: Value) -> Self {
        Self { name, description, schema, is_required: false, is_header: false }
    }

    /// The same, as a header.
    #[must_use]
    pub(crate) fn header(self) -> Self {
        Self { is_header: true, ..self }
    }

    /// The same, which may not.
    #[must_use]
    pub(crate) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

impl Endpoint {
    /// The same, with these parameters.
    #[must_use]
    pub(crate) fn takes(mut self, parameters: Vec<Parameter>) -> Self {
        self.about.parameters = parameters;
        self
    }

    /// The same, answering this kind of content, which may be one of several.
    #[must_use]
    pub(crate) fn gives(mut self, media_type: &'static str, schema: Value) -> Self {
        self.about.answers.push((media_type, schema));
        self
    }

    /// The same, which answers likewise with 503.
    #[must_use]
    pub(crate) fn also_unwell(mut self) -> Self {
        self.about.is_also_unwell = true;
        self
    }

    /// The same, which becomes a WebSocket.
    #[must_use]
    pub(crate) fn upgrades(mut self) -> Self {
        self.about.is_socket = true;
        self
    }

    /// The same, whose answers may have a tag.
    #[must_use]
    pub(crate) fn tagged(mut self) -> Self {
        self.about.is_tagged = true;
        self
    }
}

/// A named schema of the description.
pub(crate) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
