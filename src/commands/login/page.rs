//! The page that the browser shows at the end of a sign-in: self-contained, in the colours that the reader's system has.

/// What a page is about, which decides its mark and its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// It worked.
    Good,
    /// It did not.
    Bad,
    /// Nothing has happened yet.
    Neutral,
}

/// A page and the status that it is sent with.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) html: String,
}

impl Page {
    /// A page of a headline and paragraphs, which may hold anything.
    pub(super) fn new(tone: Tone, headline: &str, paragraphs: &[&str]) -> Self {
        let (mark, class, status) = match tone {
            Tone::Good => ("&#10003;", "good", 200),
            Tone::Bad => ("&#10007;", "bad", 400),
            Tone::Neutral => ("&#8230;", "neutral", 200),
        };
        let headline = escape(headline);
        let text: String = paragraphs.iter().map(|text| format!("<p>{}</p>\n", escape(text))).collect();
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{headline} – criteo-source</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main class=\"{class}\">\n\
             <div class=\"mark\" aria-hidden=\"true\">{mark}</div>\n<h1>{headline}</h1>\n{text}\
             <footer>criteo-source</footer>\n</main>\n</body>\n</html>\n"
        );
        Self { status, html }
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#f5f6f8;--card:#fff;--text:#1b1f24;--soft:#5b6570;--good:#1a7f37;--bad:#b42318}\
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--card:#1d2127;--text:#e8eaed;--soft:#9aa4af;--good:#4ac26b;--bad:#ff7b72}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--ground);\
color:var(--text);font:16px/1.5 system-ui,sans-serif}\
main{max-width:34rem;width:100%;padding:2rem;border-radius:12px;background:var(--card);box-shadow:0 1px 4px rgba(0,0,0,.18)}\
.mark{font-size:2rem;line-height:1;color:var(--soft)}.good .mark{color:var(--good)}.bad .mark{color:var(--bad)}\
h1{font-size:1.35rem;margin:.75rem 0}p{margin:.5rem 0;overflow-wrap:anywhere}footer{margin-top:1.5rem;font-size:.85rem;color:var(--soft)}";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_text_stays_text() {
        let page = Page::new(Tone::Bad, "No <script>", &["`a` & \"b\""]);
        assert!(
            page.status == 400
                && page.html.contains("No &lt;script&gt;")
                && page.html.contains("`a` &amp; &quot;b&quot;")
        );
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.html.contains(outside), "{outside}");
        }
        assert!(page.html.contains("prefers-color-scheme:dark") && page.html.contains("light dark"));
    }
}
