//! The media types of files, by their names.

/// The media type of a file, and whether it is served as text.
pub(super) fn of(name: &str, is_utf8: bool) -> (&'static str, bool) {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref().and_then(known) {
        Some(mime) => (mime, is_utf8 && is_text(mime)),
        None if is_utf8 => ("text/plain", true),
        None => ("application/octet-stream", false),
    }
}

fn known(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "md" | "markdown" => "text/markdown",
        "txt" | "text" | "log" => "text/plain",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "csv" => "text/csv",
        "tsv" => "text/tab-separated-values",
        "js" | "mjs" | "cjs" => "text/javascript",
        "py" => "text/x-python",
        "sh" | "bash" => "text/x-shellscript",
        "rs" => "text/x-rust",
        "ts" | "tsx" | "jsx" => "text/plain",
        "json" => "application/json",
        "yaml" | "yml" => "application/yaml",
        "toml" => "application/toml",
        "xml" | "xsd" => "application/xml",
        "sql" => "application/sql",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/vnd.microsoft.icon",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => return None,
    })
}

fn is_text(mime: &str) -> bool {
    mime.starts_with("text/")
        || ["json", "yaml", "toml", "xml", "sql"]
            .iter()
            .any(|kind| mime.ends_with(kind))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_type_follows_from_the_name() {
        for (name, is_utf8, expected) in [
            ("SKILL.md", true, ("text/markdown", true)),
            ("a.JSON", true, ("application/json", true)),
            ("a.svg", true, ("image/svg+xml", true)),
            ("a.png", true, ("image/png", false)),
            ("a.txt", false, ("text/plain", false)),
            ("LICENSE", true, ("text/plain", true)),
            ("blob", false, ("application/octet-stream", false)),
        ] {
            assert_eq!(of(name, is_utf8), expected, "{name}");
        }
    }
}
