//! The app that the credentials belong to, as `marketing-solutions/me` describes it: the one call that needs neither a permission nor
//! a consent.
//!
//! Criteo documents no list of services. Only what is known by name is judged: an app for retail media sees none of the data that
//! this program reads, whatever its permissions and consents are called. A name that is not known is shown and not judged.

use std::fmt;

use super::client::{CriteoClient, FetchError};
use super::lists::ListRequest;
use crate::catalog::EndpointId;
use crate::json::Json;
use crate::notice::{Code, Notice};
use crate::table::excerpt::excerpt;

/// Names of the service that this program needs, without case and punctuation: in the API, in the portal, in older portals.
const MARKETING: [&str; 2] = ["marketingsolutions", "cgrowth"];
/// Names of the service that is mistaken for it.
const RETAIL_MEDIA: [&str; 2] = ["retailmedia", "cmax"];

/// What Criteo says of the app; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    id: Option<String>,
    name: Option<String>,
    organization_id: Option<String>,
    service: Option<String>,
}

impl Application {
    /// Fetches it.
    pub async fn fetch(client: &CriteoClient) -> Result<Self, FetchError> {
        let request = ListRequest {
            endpoint: EndpointId::ApplicationMe,
            parent_id: None,
            body: None,
            what: "the application".to_owned(),
            attempts: None,
        };
        let answer = client.page(&request).await?;
        Ok(answer.resources().first().map(Self::of).unwrap_or_default())
    }

    fn of(resource: &Json<'_>) -> Self {
        let text = |name: &str| match resource.get("attributes")?.get(name)? {
            Json::Text(text) => Some(excerpt(text)).filter(|text| !text.is_empty()),
            Json::Number(digits) => Some((*digits).to_owned()),
            _ => None,
        };
        Self {
            id: text("applicationId"),
            name: text("name"),
            organization_id: text("organizationId"),
            service: text("criteoService"),
        }
    }

    /// What to say where the app is for another service than the one this program needs.
    pub fn wrong_service(&self) -> Option<Notice> {
        let service = self.service.as_ref().filter(|service| is_wrong(service))?;
        let message = format!(
            "{self}: an app for {service} sees no advertiser and no campaign of C-Growth and marketing solutions, which is what this \
             program reads"
        );
        Some(Notice::new(Code::WrongService, message))
    }
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "app `{name}`")?,
            None => f.write_str("an app without a name")?,
        }
        let parts = [("id", &self.id), ("organization", &self.organization_id), ("service", &self.service)];
        let said: Vec<String> =
            parts.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?))).collect();
        if said.is_empty() { Ok(()) } else { write!(f, " ({})", said.join(", ")) }
    }
}

/// Whether a service is known to be the wrong one.
fn is_wrong(service: &str) -> bool {
    let plain: String = service.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let names = |known: [&str; 2]| known.iter().any(|name| plain.contains(name));
    names(RETAIL_MEDIA) && !names(MARKETING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(attributes: &str) -> Application {
        let text = format!("{{\"type\":\"x\",\"attributes\":{attributes}}}");
        Application::of(&Json::parse(text.as_bytes()).expect("JSON"))
    }

    #[test]
    fn only_a_service_that_is_known_to_be_another_one_is_wrong() {
        for service in ["RetailMedia", "Retail Media", "C-Max", "c_max"] {
            assert!(is_wrong(service), "{service}");
        }
        for service in
            ["MarketingSolutions", "C-Growth", "C-Growth and marketing solutions", "C-Growth, C-Max", "Something", ""]
        {
            assert!(!is_wrong(service), "{service}");
        }
    }

    #[test]
    fn it_is_described_by_what_criteo_says_of_it() {
        let all = r#"{"applicationId":4711,"organizationId":815,"name":"Our app","criteoService":"RetailMedia"}"#;
        let wrong = application(all).wrong_service().expect("the wrong service");
        assert!(
            wrong.message.starts_with("app `Our app` (id 4711, organization 815, service RetailMedia): "),
            "{}",
            wrong.message
        );
        let little = application(r#"{"applicationId":null,"name":"\u001b[2J","criteoService":null}"#);
        assert_eq!((little.to_string().as_str(), little.wrong_service()), ("app `\\u{1b}[2J`", None));
        assert_eq!(application("null").to_string(), "an app without a name");
    }
}
