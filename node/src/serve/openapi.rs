//! `/openapi.json`: the API's description, made from the table of endpoints that the router answers by.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use warp::reply::{Reply, with_header};

use super::access::{Access, Role};
use super::describe::{Parameter, named};
use super::problem::Problem;
use super::rest;
use super::router::Endpoint;

/// Adds the endpoint that describes all of them, itself included.
pub(super) fn add_to(endpoints: &mut Vec<Endpoint>) {
    let text = Arc::new(OnceLock::new());
    let described: Arc<OnceLock<String>> = text.clone();
    let endpoint = Endpoint::get("/openapi.json", Access::Open, "This description", move |_| {
        let text = described.get().cloned();
        async move {
            let text = text.ok_or_else(|| Problem::unavailable("it is being made", 1))?;
            let typed = with_header(text, CONTENT_TYPE, "application/json");
            Ok(with_header(typed, CACHE_CONTROL, "no-cache").into_response())
        }
    });
    endpoints.push(endpoint.gives("application/json", json!({ "type": "object" })));
    // It is set once, here.
    let _ = text.set(document(endpoints).to_string());
}

/// The document.
fn document(endpoints: &[Endpoint]) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Orrery",
            "summary": "Token-transfer events of Stellar",
            "description": "Events, ledgers and assets as they are durable, and how the nodes are. Integers wider than 53 bits \
                            are texts. A cursor, as 53312000 or 53312000:17, stands behind a ledger or behind an event in \
                            it; it means the same on every node.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": rest::schemas(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let is_in_path = |name: &str| endpoint.path.contains(&format!("{{{name}}}"));
    let parameters: Vec<_> =
        endpoint.about.parameters.iter().map(|one| parameter(one, is_in_path(one.name))).collect();
    let content: Map<_, _> = endpoint
        .about
        .answers
        .iter()
        .map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema })))
        .collect();
    let mut good = json!({ "description": "As asked" });
    if !content.is_empty() {
        good["content"] = Value::Object(content);
    }
    let mut responses = json!({
        "200": good,
        "default": {
            "description": "What is wrong, and what to do",
            "content": { "application/problem+json": { "schema": named("Problem") } },
        },
    });
    if endpoint.about.is_also_unwell {
        responses["503"] = responses["200"].clone();
        responses["503"]["description"] = json!("It is not so");
    }
    if endpoint.about.is_tagged {
        let tag = json!({ "description": "Of an answer that never changes", "schema": { "type": "string" } });
        responses["200"]["headers"] = json!({ "ETag": tag });
        responses["304"] = json!({ "description": "The client has it already" });
    }
    if endpoint.about.is_socket {
        let content = responses["default"]["content"].clone();
        responses["101"] =
            json!({ "description": "The connection is a WebSocket now: /asyncapi.json describes it" });
        responses["426"] = json!({ "description": "The request asks for no WebSocket", "content": content });
        if let Some(responses) = responses.as_object_mut() {
            responses.remove("200");
        }
    }
    // Whoever may read without a token is a matter of configuration.
    let security = match endpoint.access {
        Access::Open => json!([]),
        Access::Of(role) if role > Role::Viewer => json!([{ "token": [] }]),
        Access::Of(_) => json!([{}, { "token": [] }]),
    };
    json!({
        "summary": endpoint.summary,
        "operationId": operation_id(endpoint),
        "parameters": parameters,
        "responses": responses,
        "security": security,
    })
}

fn parameter(parameter: &Parameter, is_in_path: bool) -> Value {
    let mut described = json!({
        "name": parameter.name,
        "in": if is_in_path { "path" } else if parameter.is_header { "header" } else { "query" },
        "description": parameter.description,
        "required": parameter.is_required || is_in_path,
        "schema": parameter.schema,
    });
    if parameter.schema["type"] == "array" {
        described["style"] = json!("form");
        // One parameter with commas; several of the same name say the same.
        described["explode"] = json!(false);
    }
    described
}

/// As `get_v1_ledgers_sequence`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words =
        endpoint.path.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let method = endpoint.method.as_str().to_ascii_lowercase();
    [method.as_str()].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_a_path_is_a_parameter_and_every_reference_leads_somewhere() {
        let endpoints = rest::endpoints_for_tests();
        let document = document(&endpoints);
        for endpoint in &endpoints {
            let names = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            for name in names {
                let is_named = |parameter: &Parameter| parameter.name == name;
                assert!(endpoint.about.parameters.iter().any(is_named), "{}: {name}", endpoint.path);
            }
            assert!(!endpoint.about.answers.is_empty(), "{} says nothing of its answer", endpoint.path);
        }
        let text = document.to_string();
        for (at, start) in text.match_indices("#/components/schemas/") {
            let name: String =
                text[at + start.len()..].chars().take_while(|char| char.is_ascii_alphanumeric()).collect();
            assert!(document["components"]["schemas"][&name].is_object(), "{name}");
        }
    }
}
