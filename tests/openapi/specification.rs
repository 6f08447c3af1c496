//! Criteo's specification, as far as the claims ask: operations, their scopes, parameters, requests and responses.

use std::collections::{BTreeMap, BTreeSet};

use criteo_source::catalog::{Connector, Endpoint, EndpointId, Method};
use jsonschema::Validator;
use serde_json::{Value, json};

use super::json_schema::{json_schema, named};

/// The media type that the connector sends and asks for.
const JSON: &str = "application/json";

/// The document, and what requests and responses of the declared endpoints must look like.
pub struct Specification {
    pub document: Value,
    requests: BTreeMap<EndpointId, Validator>,
    responses: BTreeMap<EndpointId, Validator>,
}

/// One operation.
#[derive(Clone, Copy)]
pub struct Operation<'s>(&'s Value);

impl Specification {
    pub fn parse(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).expect("the OpenAPI is JSON");
        let mut specification = Self { document, requests: BTreeMap::new(), responses: BTreeMap::new() };
        let components = json!({"schemas": named(&specification.document["components"]["schemas"])});
        for endpoint in &Connector::get().endpoints {
            // A claim of its own says that every endpoint is there.
            let Some(operation) = specification.find(endpoint) else { continue };
            let request = operation.request().map(|schema| validator(schema, &components));
            let response = validator(operation.response(), &components);
            specification.requests.extend(request.map(|validator| (endpoint.id, validator)));
            specification.responses.insert(endpoint.id, response);
        }
        specification
    }

    /// The operation behind an endpoint, under the connector's version.
    pub fn find(&self, endpoint: &Endpoint) -> Option<Operation<'_>> {
        let method = match endpoint.method {
            Method::Get => "get",
            Method::Post => "post",
        };
        let path = format!("/{}/{}", Connector::get().api_version, endpoint.path);
        self.document["paths"].get(path)?.get(method).map(Operation)
    }

    pub fn operation(&self, endpoint: &Endpoint) -> Operation<'_> {
        self.find(endpoint).unwrap_or_else(|| panic!("{:?} {} is not in the OpenAPI", endpoint.method, endpoint.path))
    }

    /// What is wrong with the body of a request, by place.
    pub fn complaints_about_request(&self, endpoint: EndpointId, body: &[u8]) -> Vec<String> {
        let body: Value = serde_json::from_slice(body).expect("a request is JSON");
        complaints(self.requests.get(&endpoint).expect("the endpoint takes a body"), &body)
    }

    /// What is wrong with the body of a response, by place.
    pub fn complaints_about_response(&self, endpoint: EndpointId, body: &Value) -> Vec<String> {
        complaints(&self.responses[&endpoint], body)
    }

    /// A component schema as it stands.
    pub fn schema(&self, name: &str) -> &Value {
        self.document["components"]["schemas"].get(name).unwrap_or_else(|| panic!("no schema {name}"))
    }
}

impl<'s> Operation<'s> {
    /// Criteo's name for it.
    pub fn id(self) -> &'s str {
        self.0["operationId"].as_str().expect("an operation has a name")
    }

    /// All scopes, of all alternatives.
    pub fn scopes(self) -> Vec<&'s str> {
        let alternatives = self.0["security"].as_array().expect("every operation says what it needs");
        let schemes = alternatives.iter().flat_map(|schemes| schemes.as_object().expect("schemes by name"));
        schemes.flat_map(|(_, scopes)| scopes.as_array().expect("a list")).filter_map(Value::as_str).collect()
    }

    /// The names of the parameters in `place` (`path` or `query`).
    pub fn parameters(self, place: &str) -> BTreeSet<&'s str> {
        self.described(|parameter| parameter["in"] == place)
    }

    /// The names of the parameters that must be sent.
    pub fn required_parameters(self) -> BTreeSet<&'s str> {
        self.described(|parameter| parameter["required"] == true)
    }

    fn described(self, is_wanted: impl Fn(&Value) -> bool) -> BTreeSet<&'s str> {
        let parameters = self.0["parameters"].as_array().into_iter().flatten();
        parameters.filter(|parameter| is_wanted(parameter)).filter_map(|parameter| parameter["name"].as_str()).collect()
    }

    /// The schema of the body it takes, if it takes one.
    pub fn request(self) -> Option<&'s Value> {
        self.0.get("requestBody").map(|body| &body["content"][JSON]["schema"])
    }

    /// The schema of a good answer.
    pub fn response(self) -> &'s Value {
        self.0["responses"]["200"]["content"][JSON].get("schema").expect("a good answer in JSON")
    }
}

fn validator(schema: &Value, components: &Value) -> Validator {
    let mut document = json_schema(schema);
    document["components"] = components.clone();
    jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&document).expect("a JSON Schema")
}

fn complaints(validator: &Validator, instance: &Value) -> Vec<String> {
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
