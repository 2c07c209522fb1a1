//! Runbooks: what they say, and that no name or path can become a command.

use proptest::prelude::*;
use standby::config::{CopyConfig, SourceConfig, TargetConfig};
use standby::lag::Lag;
use standby::runbook::{
    Facts, Runbook, RunbookCommand, failback, failover, literal, prepare, reverse,
};

/// The installation of the product's documents, but for a name with a quote.
fn facts() -> Facts {
    Facts {
        config: "/etc/scr/scr.toml".into(),
        copy: CopyConfig {
            storage_group: None,
            name: "SG1".into(),
            replay_lag: Lag::DEFAULT_REPLAY,
            truncation_lag: Lag::ZERO,
            wait_for_backup: false,
            allow: Vec::new(),
            source: SourceConfig {
                machine: "EXMBX1".into(),
                base: "E00".into(),
                logs: "/mnt/exmbx1/SG1".into(),
                system: "/mnt/exmbx1/SG1".into(),
                database: "/mnt/exmbx1/SG1/Anna's mail.edb".into(),
                ..SourceConfig::default()
            },
            target: TargetConfig {
                machine: "EXMBX2".into(),
                logs: "/srv/scr/SG1".into(),
                system: "/srv/scr/SG1".into(),
                database: "/srv/scr/SG1/Anna's mail.edb".into(),
                inspector: None,
            },
        },
        activated: "/srv/scr/SG1/Anna's mail.edb".into(),
        storage_group: "SG1".into(),
        database: "MBX1".into(),
        standby_storage_group: "SG1PORT".into(),
        standby_database: "MBX1PORT".into(),
        source_lost: false,
        station: false,
        map: vec![
            ("/mnt/exmbx1".into(), "D:\\".into()),
            ("/srv/scr/".into(), "E:\\SCR".into()),
        ],
    }
}

#[test]
fn a_failover_reads_as_written_down() {
    insta::assert_snapshot!("failover", failover(&facts()).to_markdown());
    let lost = Facts {
        source_lost: true,
        activated: "/srv/scr/SG1/MBX1PORT.edb".into(),
        map: Vec::new(),
        ..facts()
    };
    insta::assert_snapshot!("failover-source-lost", failover(&lost).to_powershell());
}

#[test]
fn a_failback_reads_as_written_down() {
    insta::assert_snapshot!("failback", failback(&facts()).to_markdown());
    insta::assert_snapshot!("failback-script", failback(&facts()).to_powershell());
}

#[test]
fn the_others_read_as_written_down() {
    insta::assert_snapshot!("prepare-script", prepare(&facts()).to_powershell());
    insta::assert_snapshot!("reverse", reverse(&facts()).to_markdown());
    let station = Facts {
        station: true,
        ..facts()
    };
    insta::assert_snapshot!("reverse-station", reverse(&station).to_powershell());
}

const PROCEDURES: [fn(&Facts) -> Runbook; 4] = [prepare, failover, failback, reverse];

/// The syntax tree of a script, by a grammar of PowerShell that is not ours: the kinds of its nodes, and the text of those
/// that are not literals or comments.
fn tree(script: &str) -> Vec<String> {
    let mut parser = tree_sitter::Parser::new();
    let language = tree_sitter_pwsh::LANGUAGE.into();
    parser.set_language(&language).unwrap();
    let tree = parser.parse(script, None).unwrap();
    let mut found = Vec::new();
    let mut nodes = vec![tree.root_node()];
    while let Some(node) = nodes.pop() {
        assert!(!node.is_error() && !node.is_missing(), "{script}");
        let text = match (node.child_count(), node.kind()) {
            (_, "comment") => continue,
            (0, "verbatim_string_characters") => "",
            (0, _) => &script[node.byte_range()],
            _ => "",
        };
        found.push(format!("{} {text}", node.kind()));
        nodes.extend(node.children(&mut node.walk()));
    }
    found
}

#[test]
fn lines_of_programs_keep_local_paths_and_lines_of_cmdlets_have_those_of_the_servers() {
    for procedure in PROCEDURES {
        let runbook = procedure(&facts());
        let script = runbook.to_powershell();
        tree(&script);
        for step in &runbook.steps {
            for command in &step.commands {
                let local = command.line().contains("/mnt/") || command.line().contains("/srv/");
                let servers = command.line().contains(":\\");
                match command {
                    RunbookCommand::Shell { line } => assert!(!local, "{line}"),
                    RunbookCommand::Program { line, .. } => assert!(!servers, "{line}"),
                }
            }
            assert!(
                !step
                    .when
                    .as_ref()
                    .is_some_and(|when| when.contains("/srv/"))
            );
        }
    }
}

#[test]
fn folders_beside_the_root_of_a_drive_lie_in_it() {
    let mut facts = facts();
    facts.map = vec![("/srv/scr/SG1".into(), "E:\\".into())];
    let script = failover(&facts).to_powershell();
    assert!(
        script.contains("'E:\\before-failover'") && script.contains("'E:\\new'"),
        "{script}"
    );
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    Expanding(String),
    Other(String),
}

/// The tokens of a script, as PowerShell cuts them ("about_Parsing", "about_Quoting_Rules"); comments are left out.
fn tokens(script: &str) -> Vec<Token> {
    let single = |char: char| "'\u{2018}\u{2019}\u{201a}\u{201b}".contains(char);
    let double = |char: char| "\"\u{201c}\u{201d}\u{201e}".contains(char);
    let mut tokens = Vec::new();
    let mut chars = script.chars().peekable();
    while let Some(char) = chars.next() {
        if single(char) {
            let mut text = String::new();
            loop {
                let char = chars.next().expect("the literal ends");
                if !single(char) {
                    text.push(char);
                } else if chars.peek().is_some_and(|next| single(*next)) {
                    chars.next();
                    text.push(char);
                } else {
                    break;
                }
            }
            tokens.push(Token::Literal(text));
        } else if double(char) {
            let text = chars.by_ref().take_while(|char| !double(*char)).collect();
            tokens.push(Token::Expanding(text));
        } else if char == '#' {
            while chars.next_if(|char| !matches!(char, '\n' | '\r')).is_some() {}
        } else if matches!(char, '\n' | '\r') {
            tokens.push(Token::Other("\n".into()));
        } else if !char.is_whitespace() {
            let mut word = char.to_string();
            let ends = |char: &char| char.is_whitespace() || single(*char) || double(*char);
            while let Some(char) = chars.next_if(|char| !ends(char)) {
                word.push(char);
            }
            tokens.push(Token::Other(word));
        }
    }
    tokens
}

/// The script without what its literals say.
fn structure(script: &str) -> Vec<Token> {
    let without = |token| match token {
        Token::Literal(_) => Token::Literal(String::new()),
        other => other,
    };
    tokens(script).into_iter().map(without).collect()
}

/// Names as nobody would choose them.
fn nasty() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "'",
        "\u{2018}",
        "\u{2019}",
        "\u{201a}",
        "\u{201b}",
        "\"",
        "\u{201c}",
        "`",
        "$",
        "$(calc)",
        ";",
        "|",
        "&",
        "#",
        "{",
        "}",
        "\n",
        "\r\n",
        "\u{2028}",
        "\u{85}",
        "\\",
        "/",
        " ",
        "x",
        "Remove-Item",
        "-Force",
        "%",
        "\t",
        "```",
        "]",
    ];
    let any = prop_oneof![
        proptest::sample::select(PARTS).prop_map(str::to_owned),
        // No path holds a NUL, and the grammar takes it for the end.
        any::<char>().prop_map(|char| char.to_string().replace('\0', "x"))
    ];
    proptest::collection::vec(any, 1..12).prop_map(|parts| parts.concat())
}

/// The installation with these eight names in all places.
fn named(names: &[String]) -> Facts {
    let mut facts = facts();
    facts.map = Vec::new();
    let (source, target) = (&mut facts.copy.source, &mut facts.copy.target);
    source.machine.clone_from(&names[0]);
    source.database = names[1].clone().into();
    target.machine.clone_from(&names[2]);
    target.logs = names[3].clone().into();
    target.database = names[4].clone().into();
    facts.activated = names[4].clone().into();
    facts.storage_group.clone_from(&names[5]);
    facts.database.clone_from(&names[6]);
    facts.standby_database.clone_from(&names[7]);
    facts.config = names[7].clone().into();
    facts
}

/// Names without anything special, equal to each other where these are, with their folders.
fn plain(names: &[String]) -> Vec<String> {
    let plain = |char: char| match char {
        // A dot alone is the same folder as the one above it.
        '/' | '\\' | ':' | '.' => char.to_string(),
        other => format!("u{:x}", u32::from(other)),
    };
    let plain = |name: &String| name.chars().map(plain).collect();
    names.iter().map(plain).collect()
}

/// The script without the line that stops it when it was saved in another encoding.
fn without_guard(script: &str) -> String {
    let guard = script.split_inclusive('\n');
    let guard = guard.filter(|line| line.starts_with("if ('\u{e9}' -cne "));
    let guard: String = guard.take(1).collect();
    assert_eq!(guard.is_empty(), script.is_ascii());
    script.replacen(&guard, "", 1)
}

proptest! {
    #[test]
    fn a_literal_is_one_token_with_this_text(text in nasty()) {
        prop_assert_eq!(tokens(&literal(&text)), [Token::Literal(text)]);
    }

    #[test]
    fn no_name_changes_what_a_script_does(
        names in proptest::collection::vec(nasty(), 8),
        station in any::<bool>(),
    ) {
        let plain = plain(&names);
        for (number, procedure) in PROCEDURES.iter().enumerate() {
            let with = |names| Facts { station, ..named(names) };
            let script = without_guard(&procedure(&with(&names)).to_powershell());
            let other = without_guard(&procedure(&with(&plain)).to_powershell());
            prop_assert_eq!(structure(&script), structure(&other));
            prop_assert_eq!(tree(&script), tree(&other));
            let identity = format!("{}\\{}\\{}", names[0], names[5], names[6]);
            let there = tokens(&script).contains(&Token::Literal(identity));
            // A preparation does nothing at the first server.
            prop_assert!(there || number == 0, "the database is named as it is");
        }
    }

    /// On the page, too: nothing ends a block of commands but its own fence.
    #[test]
    fn no_name_ends_a_block_of_commands(names in proptest::collection::vec(nasty(), 8)) {
        let plain = plain(&names);
        for procedure in PROCEDURES {
            let blocks = |facts: &Facts| {
                let page = procedure(facts).to_markdown();
                let fence = page.lines().filter_map(|line| line.strip_suffix("powershell"));
                fence.filter(|fence| fence.chars().all(|char| char == '`')).count()
            };
            prop_assert_eq!(blocks(&named(&names)), blocks(&named(&plain)));
        }
    }
}
