//! Host names that a proxy may answer for.

use std::net::IpAddr;

/// In lower case, or why it cannot be one.
pub(super) fn read(text: &str) -> Result<String, &'static str> {
    let name = text.to_ascii_lowercase();
    if name.len() > 253 {
        return Err("is longer than 253 characters");
    }
    if !name.contains('.') {
        return Err("needs a dot, like app.example.com");
    }
    if name.starts_with('.') || name.ends_with('.') {
        return Err("has a dot at an end: leave it out");
    }
    if name.parse::<IpAddr>().is_ok() {
        return Err("is an address: a host name is needed");
    }
    for label in name.split('.') {
        check(label)?;
    }
    if name.rsplit('.').next().is_some_and(all_digits) {
        return Err("ends in a number, as only addresses do");
    }
    if name.ends_with(".localhost") {
        return Err("names this machine");
    }
    Ok(name)
}

fn check(label: &str) -> Result<(), &'static str> {
    if label.is_empty() || label.len() > 63 {
        return Err("has an empty part, or one of more than 63 characters");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !label.bytes().all(plain) {
        return Err("may hold letters, digits, dashes and dots only");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("has a dash at the end of a part");
    }
    // Names in Punycode can look like others; nobody who agrees to one sees that.
    if label.starts_with("xn--") {
        return Err("is written in Punycode (xn--), which is not accepted");
    }
    Ok(())
}

fn all_digits(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of `Host: app.example.com:8080`, what names the host, in lower case.
pub(super) fn of_authority(text: &str) -> Option<String> {
    let name = match text.rsplit_once(':') {
        Some((name, port)) if all_digits(port) => name,
        Some(_) => return None,
        None => text,
    };
    Some(name.to_ascii_lowercase())
}
