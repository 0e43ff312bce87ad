//! The commands of operators, as the command line runs them against a projector.

use infra::config;
use projector::{
    cli::{self, AdminCommand, Outcome, RebuildOptions, Which},
    settings::ClientSettings,
};

use crate::{
    exactly_once::{sell, sold},
    rig::{OPERATOR_KEY, Projector, Rig},
};

fn settings(projector: &Projector) -> ClientSettings {
    let (url, operator_key) = (projector.url.clone(), OPERATOR_KEY.into());
    ClientSettings { client: config::Client { url, operator_key } }
}

/// How the command ends, and what it prints.
async fn ask(
    settings: &ClientSettings,
    command: &AdminCommand,
) -> anyhow::Result<(Outcome, String)> {
    let mut printed = Vec::new();
    let outcome = cli::ask(settings, command, &mut printed).await?;
    Ok((outcome, String::from_utf8(printed)?))
}

fn which(version: Option<i32>) -> Which {
    Which { name: "stock".to_owned(), version, json: true }
}

fn rollback() -> AdminCommand {
    AdminCommand::Rollback { name: "stock".to_owned(), json: true }
}

fn verify(version: Option<i32>) -> AdminCommand {
    AdminCommand::Verify { which: which(version), sample: None }
}

fn rebuild(name: &str) -> AdminCommand {
    let options =
        RebuildOptions { throttle: None, verify: true, switch: true, forget_corrections: false };
    AdminCommand::Rebuild { name: name.to_owned(), options, json: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_when_what_it_asked_for_is_done() {
    let rig = Rig::start(2).await;
    sold(&rig, 500).await;
    let projector = rig.projector();
    rig.applied().await;
    let settings = settings(&projector);
    let done = |ended: anyhow::Result<(Outcome, String)>| {
        assert_eq!(ended.expect("it works").0, Outcome::Done);
    };
    done(ask(&settings, &rebuild("stock")).await);
    assert_eq!(projector.version("stock", 2).await["state"], "live");
    done(ask(&settings, &rollback()).await);
    done(ask(&settings, &AdminCommand::Switch(which(None))).await);
    done(ask(&settings, &verify(Some(1))).await);
    let sql = "UPDATE stock_v2.stock SET reserved = 1 WHERE sku = 'B-0'";
    rig.sql(sql).await;
    let (outcome, printed) = ask(&settings, &verify(None)).await.expect("it works");
    assert_eq!(outcome, Outcome::Different);
    assert!(printed.contains(r#""column":"reserved","expected":0,"found":1"#), "{printed}");
    let for_people =
        AdminCommand::Verify { which: Which { json: false, ..which(None) }, sample: None };
    let (outcome, printed) = ask(&settings, &for_people).await.expect("it works");
    assert_eq!(outcome, Outcome::Different);
    assert!(printed.contains("1 of 4 rows differ from the fold of 2000 events"), "{printed}");
    assert!(printed.contains("│ stock ┆ B-0 ┆ reserved ┆ 0        ┆ 1     │"), "{printed}");
    done(ask(&settings, &AdminCommand::Drop(which(None))).await);
    let refused = ask(&settings, &rollback()).await.expect_err("v1 is gone");
    assert_eq!(refused.to_string(), "there is no stock v1");
    let refused = ask(&settings, &rebuild("../status")).await.expect_err("no such name");
    assert!(refused.to_string().contains("no projection"), "{refused}");
    projector.end(rig).await;
}

/// Its answer does not come from the projector that it asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_a_projector_that_is_restarted() {
    let (rig, mut owner) = Rig::with_owner().await;
    sell(&mut owner, 0, 1..=2_000);
    let projector = rig.projector();
    rig.applied().await;
    let settings = settings(&projector);
    let command = infra::task::spawn("command", async move {
        let options = RebuildOptions {
            throttle: Some(3_000),
            verify: false,
            switch: false,
            forget_corrections: false,
        };
        ask(&settings, &AdminCommand::Rebuild { name: "orders".to_owned(), options, json: true })
            .await
    });
    stack::eventually::eventually("a build", crate::rig::WAIT_MAX, || async {
        let version = projector.version("orders", 2).await;
        if version["state"] == "copying" { Ok(()) } else { Err(version) }
    })
    .await;
    let projector = projector.restart(&rig).await;
    let (outcome, _) = command.await.expect("no panic").expect("it works");
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(projector.version("orders", 2).await["state"], "standby");
    projector.end(rig).await;
}
