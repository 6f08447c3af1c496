//! Whether a browser can be opened here, and what to do where it cannot.

use std::path::Path;

use crate::settings::Environment;

/// What is known of the place that the program runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A desktop.
    Desktop,
    /// A machine without a screen.
    NoScreen,
    /// Somebody else's terminal.
    Remote,
    /// A container.
    Container,
}

impl Place {
    /// Where this process runs.
    pub(super) fn of_process(environment: &Environment) -> Self {
        let in_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
        Self::judge(environment, in_container)
    }

    fn judge(environment: &Environment, in_container: bool) -> Self {
        let has = |name: &str| environment.of_the_system(name).is_some();
        if has("SSH_CONNECTION") || has("SSH_TTY") {
            Self::Remote
        } else if in_container || has("KUBERNETES_SERVICE_HOST") || has("container") {
            Self::Container
        } else if cfg!(any(windows, target_os = "macos"))
            || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].into_iter().any(has)
        {
            Self::Desktop
        } else {
            Self::NoScreen
        }
    }

    /// What to do on the machine that has the browser, so that it reaches the listener here.
    pub(super) fn advice(self, environment: &Environment, port: u16) -> Option<String> {
        let place = match self {
            Self::Desktop => return None,
            Self::NoScreen => "This machine seems to have no browser.",
            Self::Remote => "This is a remote terminal.",
            Self::Container => "This is a container.",
        };
        Some(format!(
            "{place} On the machine with the browser, run this first and leave it open:\n\n{}\n\n\
             or stop this and run `criteo-source login --paste`, which needs no connection back.",
            tunnel(environment, port)
        ))
    }
}

/// The command that leads a port of another machine here.
fn tunnel(environment: &Environment, port: u16) -> String {
    let text = |name: &str| environment.of_the_system(name).and_then(|value| value.to_str());
    let user = text("USER").or_else(|| text("LOGNAME")).unwrap_or("USER");
    // Client's address and port, then ours (`man 1 ssh`).
    let connection: Vec<&str> = text("SSH_CONNECTION").unwrap_or_default().split_whitespace().collect();
    let host = connection.get(2).copied().unwrap_or("HOST");
    let ssh_port =
        connection.get(3).filter(|port| **port != "22").map(|port| format!(" -p {port}")).unwrap_or_default();
    format!("ssh -N -L {port}:localhost:{port}{ssh_port} {user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pairs: &[(&str, &str)], in_container: bool) -> (Place, Option<String>) {
        let environment = Environment::from_pairs(pairs.iter().copied());
        let place = Place::judge(&environment, in_container);
        (place, place.advice(&environment, 3000))
    }

    #[test]
    fn a_browser_is_plausible_where_there_is_a_screen_and_nobody_in_between() {
        if cfg!(target_os = "linux") {
            assert_eq!(place(&[("DISPLAY", ":0")], false).0, Place::Desktop);
            assert_eq!(place(&[("WAYLAND_DISPLAY", "wayland-0")], false).0, Place::Desktop);
            assert_eq!(place(&[], false).0, Place::NoScreen);
        }
        assert_eq!(place(&[("DISPLAY", ":0")], true).0, Place::Container);
        assert_eq!(place(&[("DISPLAY", ":0"), ("SSH_TTY", "/dev/pts/1")], false).0, Place::Remote);
    }

    #[test]
    fn the_exact_command_for_the_tunnel_is_given() {
        let said = |pairs: &[(&str, &str)]| place(pairs, false).1.unwrap_or_default();
        let ssh = [("SSH_CONNECTION", "10.0.0.1 51000 192.0.2.7 22"), ("USER", "ada")];
        assert!(said(&ssh).contains("\nssh -N -L 3000:localhost:3000 ada@192.0.2.7\n"), "{}", said(&ssh));
        let ssh = [("SSH_CONNECTION", "10.0.0.1 51000 2001:db8::7 2222"), ("LOGNAME", "ada")];
        assert!(said(&ssh).contains("\nssh -N -L 3000:localhost:3000 -p 2222 ada@2001:db8::7\n"), "{}", said(&ssh));
        assert!(place(&[], true).1.unwrap_or_default().contains("ssh -N -L 3000:localhost:3000 USER@HOST"));
    }
}
