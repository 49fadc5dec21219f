"""The Jenkinsfile interpreter runs supported syntax as Jenkins does, and refuses the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delivery.pipeline.job import Build, ChangeRequest, Job, command, read_build
from tests.support.repositories import jenkinsfile, job, run_build

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = "checkout, sh, input, junit, recordCoverage, archiveArtifacts, withCredentials"
LOGIN = {"registry": {"kind": "usernamePassword", "username": "robot", "password": "s3cr3t-word"}}
JUNIT = '<testsuite tests="3" failures="{failures}" errors="0" skipped="1"/>'


def stage(name: str, *steps: str, more: str = "") -> str:
    """Return a stage's text."""
    return f"stage('{name}') {{\n{more}\nsteps {{\n{chr(10).join(steps)}\n}}\n}}\n"


def wait_for(path: Path, text: str = "") -> None:
    """Wait at most half a minute until the file exists and contains the text."""
    deadline = time.monotonic() + 30
    while not path.exists() or (text and text not in path.read_text()):
        assert time.monotonic() < deadline, path
        time.sleep(0.1)


def lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if line]


def test_stages_run_in_order_in_a_checkout_of_the_commit(tmp_path: Path) -> None:
    stages = [
        stage("Checkout", "checkout scm"),
        stage("Look", "sh 'cat greeting'"),
        stage("Last", "sh 'pwd'"),
    ]
    pipeline = job(
        tmp_path, {"Jenkinsfile": jenkinsfile("\n".join(stages)), "greeting": "hello of the commit\n"}
    )

    build = run_build(pipeline)

    assert build.stages == {"Checkout": "SUCCESS", "Look": "SUCCESS", "Last": "SUCCESS"}
    log = lines(build.log)
    assert [line for line in log if not line.startswith((" > git", "Running on"))] == [
        "Started by delivery/pipeline",
        f"Obtained Jenkinsfile from {pipeline.scm['revision']}",
        "[Pipeline] Start of Pipeline",
        "[Pipeline] node",
        "[Pipeline] {",
        "[Pipeline] stage",
        "[Pipeline] { (Checkout)",
        "[Pipeline] checkout",
        f"Fetching changes from the repository {pipeline.scm['url']}",
        f"Checking out Revision {pipeline.scm['revision']}",
        "[Pipeline] }",
        "[Pipeline] // stage",
        "[Pipeline] stage",
        "[Pipeline] { (Look)",
        "[Pipeline] sh",
        "+ cat greeting",
        "hello of the commit",
        "[Pipeline] }",
        "[Pipeline] // stage",
        "[Pipeline] stage",
        "[Pipeline] { (Last)",
        "[Pipeline] sh",
        "+ pwd",
        str(pipeline.workspace),
        "[Pipeline] }",
        "[Pipeline] // stage",
        "[Pipeline] }",
        "[Pipeline] // node",
        "[Pipeline] End of Pipeline",
        "Finished: SUCCESS",
    ]


def test_steps_get_only_the_parameters_and_the_environment(tmp_path: Path) -> None:
    sections = """
    parameters {
        string(name: 'WHERE', defaultValue: 'here', description: 'a place')
        string(name: 'TAG', description: 'empty by default')
        choice(name: 'SIZE', choices: ['small', 'large'], description: 'a size')
        booleanParam(name: 'LOUD', defaultValue: true, description: 'how')
    }
    environment { PLACE = "over ${params.WHERE}" }"""
    echo = "sh 'echo \"$WHERE|$TAG|$SIZE|$LOUD|$PLACE|$BRANCH_NAME|${PYTEST_CURRENT_TEST-nothing}\"'"
    silent = stage("Silent", "sh 'true'", more="when { expression { !params.LOUD } }")
    files = {"Jenkinsfile": jenkinsfile(stage("Tell", echo) + "\n" + silent, sections=sections)}

    build = run_build(job(tmp_path, files, parameters={"WHERE": "there", "LOUD": True}))

    assert "there||small|true|over there|main|nothing" in lines(build.log)
    assert build.stages == {"Tell": "SUCCESS", "Silent": "SKIPPED"}
    assert 'Stage "Silent" skipped due to when conditional' in build.log


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"SIZES": "small"}, "The job has no parameter SIZES"),
        ({"SIZE": "huge"}, "Parameter SIZE is none of small, large: huge"),
    ],
)
def test_invalid_parameters_are_refused(
    tmp_path: Path, parameters: dict[str, str | bool], reason: str
) -> None:
    sections = "parameters { choice(name: 'SIZE', choices: ['small', 'large'], description: 'a size') }"
    files = {"Jenkinsfile": jenkinsfile(stage("Tell", "sh 'echo ran'"), sections=sections)}

    build = run_build(job(tmp_path, files, parameters=parameters), result="FAILURE")

    assert build.reason == reason
    assert build.stages == {}


def test_unknown_syntax_is_an_error_with_its_line_before_anything_runs(tmp_path: Path) -> None:
    text = """\
pipeline {
    agent { docker 'python' }
    tools { maven 'm' }
    triggers { cron('@daily') }
    parameters { text(name: 'A', description: 'a') }
    options {
        retry(2)
        timeout(time: 1, unit: 'HOURS')
        buildDiscarder(buildRotator(keep: 1))
    }
    environment { sh 'env' }
    stages {
        stage('One') {
            options { timeout(time: 1, unit: 'HOURS', activity: true) }
            input { message 'go?' }
            steps {
                echo 'hello'
                sh script: 'true', returnStatus: true
                def x = 1
                if (x) { sh 'false' }
                junit()
                withCredentials([sshUserPrivateKey(credentialsId: 'a', keyFileVariable: 'K')]) { sh 'true' }
                withCredentials([file(credentialsId: 'a')])
            }
        }
        stage('One') {
            when { buildingTag() }
            steps { sh 'true' }
            parallel { stage('Two') { parallel { stage('Three') { steps { sh 'true' } } } } }
        }
        stage('Four') { steps { } }
        stage('Six') {
            options { timeout(time: 1, unit: 'HOURS') }
            stages { stage('Seven') { steps { sh 'true' } } }
        }
        stage('Five') { }
        parallel { }
    }
    post { changed { sh 'true' } }
}
"""
    build = run_build(job(tmp_path, {"Jenkinsfile": text}), result="FAILURE")

    assert build.stages == {}
    assert build.reason is not None
    errors = [
        error.removeprefix("Jenkinsfile: ").partition(";")[0].rstrip(".")
        for error in build.reason.splitlines()
    ]
    assert errors == [
        'line 3: unknown section of pipeline "tools"',
        'line 2: unknown agent "docker"',
        'line 4: unknown trigger "cron"',
        'line 5: unknown parameter "text"',
        'line 7: unknown option "retry"',
        'line 8: unknown option "timeout"',
        "line 9: only these can be here: logRotator",
        "line 11: environment has only NAME = value",
        'line 37: unknown section of stages "parallel"',
        'line 15: unknown section of stage "input"',
        "line 14: timeout has no argument activity",
        'line 17: unknown step "echo"',
        f"line 19: only a step can be here: {STEPS}",
        f"line 20: only a step can be here: {STEPS}",
        "line 18: sh has no argument returnStatus",
        "line 21: junit lacks testResults",
        "line 22: only these can be here: file, string, usernamePassword",
        "line 23: withCredentials takes a block",
        "line 23: file lacks variable",
        "line 23: withCredentials takes a block",
        "line 23: withCredentials has no step",
        'line 26: another stage is named "One" as well',
        "line 26: a stage has one of steps, stages, parallel",
        'line 27: unknown condition "buildingTag"',
        "line 27: when takes one condition",
        "line 29: parallel can't be inside parallel",
        "line 31: steps has no step",
        "line 32: a time limit around stages ends their post actions, too: give it to the stages inside",
        "line 36: a stage has one of steps, stages, parallel",
        'line 39: unknown section of post "changed"',
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("node { sh 'true' }", 'unknown block of a Jenkinsfile "node"'),
        ("def x = 1\npipeline { }", "one pipeline block, and nothing beside it"),
        ("pipeline { agent { label 'mcq' }", "expecting '}'"),
        (jenkinsfile(stage("A", 'sh "echo ${nobody}"')), "No such property: nobody"),
        (
            jenkinsfile(stage("A", "sh 'true'")).replace("'mcq'", "'gpu'"),
            "There are no agents with the label 'gpu'",
        ),
    ],
)
def test_a_file_that_jenkins_refuses_fails(tmp_path: Path, text: str, reason: str) -> None:
    build = run_build(job(tmp_path, {"Jenkinsfile": text}), result="FAILURE")

    assert reason in (build.reason or "")
    assert "SUCCESS" not in build.stages.values()


def test_a_failing_step_skips_what_follows_and_runs_the_post_actions(tmp_path: Path) -> None:
    fails = stage("Fails", "sh 'exit 3'", "sh 'echo too late'")
    after = stage("After", "sh 'echo after'")
    inner = f"        stage('Group') {{\n stages {{\n{fails}\n{after}\n }}\n"
    inner += "            post {\n unsuccessful { sh 'echo rolled back' }\n success { sh 'echo well' }\n }\n        }"
    post = (
        "post {\n cleanup { sh 'echo swept' }\n always { sh 'echo always' }\n failure { sh 'echo told' }\n }"
    )

    build = run_build(job(tmp_path, {"Jenkinsfile": jenkinsfile(inner, post=post)}), result="FAILURE")

    assert build.reason == "script returned exit code 3"
    assert build.stages == {"Group": "FAILURE", "Fails": "FAILURE", "After": "SKIPPED"}
    printed = [
        line
        for line in lines(build.log)
        if line in ("rolled back", "always", "told", "swept", "too late", "well")
    ]
    assert printed == ["rolled back", "always", "told", "swept"]


def test_parallel_stages_run_together_with_separate_results(tmp_path: Path) -> None:
    # Each stage waits for the other's file, which never appears if they run in sequence.
    meet = "sh 'touch {own}; for i in $(seq 50); do [ -e {other} ] && exit {code}; sleep 0.1; done; exit 9'"
    left = stage("Left", meet.format(own="left", other="right", code=0))
    right = stage("Right", meet.format(own="right", other="left", code=4))
    both = f"        stage('Both') {{\n parallel {{\n{left}\n{right}\n }}\n }}"

    build = run_build(job(tmp_path, {"Jenkinsfile": jenkinsfile(both)}), result="FAILURE")

    assert build.stages == {"Both": "FAILURE", "Left": "SUCCESS", "Right": "FAILURE"}
    assert build.reason == "script returned exit code 4"
    assert "Failed in branch Right" in build.log


def test_credentials_exist_only_in_their_block_and_never_in_the_log(tmp_path: Path) -> None:
    bound = "usernamePassword(credentialsId: 'registry', usernameVariable: 'WHO', passwordVariable: 'WORD')"
    others = (
        "file(credentialsId: 'config', variable: 'CONFIG'), string(credentialsId: 'token', variable: 'TOKEN')"
    )
    stages = stage(
        "Use",
        f"withCredentials([{bound}, {others}]) {{",
        "    sh 'echo \"$WHO $WORD $TOKEN\"; stat --format %a $CONFIG; cat $CONFIG > copy; echo $CONFIG > where'",
        "}",
        "sh 'echo \"${WHO-nobody} ${WORD-nothing} ${TOKEN-nothing} ${CONFIG-nowhere}\"; test ! -e $(cat where)'",
    )
    credentials = {
        **LOGIN,
        "config": {"kind": "file", "content": "of the cluster\n"},
        "token": {"kind": "string", "secret": "t0ken-text"},
    }
    pipeline = job(tmp_path, {"Jenkinsfile": jenkinsfile(stages)}, credentials=credentials)

    build = run_build(pipeline)

    assert {"robot **** ****", "600", "nobody nothing nothing nowhere"} <= set(lines(build.log))
    assert "s3cr3t-word" not in build.log
    assert "t0ken-text" not in build.log
    assert (pipeline.workspace / "copy").read_text() == "of the cluster\n"


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ({}, "Could not find credentials entry with ID 'config'"),
        ({"config": LOGIN["registry"]}, "is of type 'usernamePassword' where 'file' was expected"),
    ],
)
def test_missing_or_wrong_credentials_fail_before_their_block(
    tmp_path: Path, credentials: dict[str, dict[str, str]], reason: str
) -> None:
    stages = stage(
        "Use", "withCredentials([file(credentialsId: 'config', variable: 'C')]) { sh 'echo reached' }"
    )

    build = run_build(
        job(tmp_path, {"Jenkinsfile": jenkinsfile(stages)}, credentials=credentials), result="FAILURE"
    )

    assert reason in (build.reason or "")
    assert "+ echo reached" not in build.log


def test_a_failed_test_in_a_report_makes_the_build_unstable(tmp_path: Path) -> None:
    publish = "junit 'reports/*.xml'"
    files = {
        "Jenkinsfile": jenkinsfile(
            stage("Checkout", "checkout scm")
            + stage(
                "Test", publish, "recordCoverage(tools: [[parser: 'COBERTURA', pattern: 'reports/c/*.xml']])"
            )
            + stage("After", "archiveArtifacts artifacts: 'reports/**', fingerprint: true")
        ),
        "reports/a.xml": JUNIT.format(failures=0),
        "reports/b.xml": f"<testsuites>{JUNIT.format(failures=1)}</testsuites>",
        "reports/c/c.xml": '<!DOCTYPE coverage SYSTEM "http://localhost:9/none.dtd"><coverage line-rate="0.8765"/>',
    }

    build = run_build(job(tmp_path, files), result="UNSTABLE")

    assert build.record["tests"] == {"tests": 6, "failures": 1, "errors": 0, "skipped": 2}
    assert build.record["lineCoverage"] == pytest.approx(0.8765)
    assert build.stages == {"Checkout": "SUCCESS", "Test": "UNSTABLE", "After": "SUCCESS"}
    archive = build.directory / "archive"
    assert sorted(str(path.relative_to(archive)) for path in archive.rglob("*.xml")) == [
        "reports/a.xml", "reports/b.xml", "reports/c/c.xml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("junit 'none/*.xml'", "No test report files were found"),
        ("archiveArtifacts 'none/*'", 'No artifacts found that match the file pattern "none/*"'),
        ("recordCoverage(tools: [[parser: 'COBERTURA', pattern: 'none.xml']])", "No files found for pattern"),
        ("recordCoverage(tools: [[parser: 'JACOCO', pattern: 'none.xml']])", "parser COBERTURA"),
    ],
)
def test_publishing_a_missing_file_fails(tmp_path: Path, step: str, reason: str) -> None:
    build = run_build(job(tmp_path, {"Jenkinsfile": jenkinsfile(stage("Publish", step))}), result="FAILURE")

    assert reason in (build.reason or "")


def test_an_input_is_answered_by_the_approver_of_the_job(tmp_path: Path) -> None:
    files = {"Jenkinsfile": jenkinsfile(stage("Ask", "input 'Go?'", "input message: 'Sure?', ok: 'Yes'"))}

    build = run_build(job(tmp_path, files, approver="Ada"))

    assert [line for line in lines(build.log) if line in ("Go?", "Sure?", "Approved by Ada")] == [
        "Go?", "Approved by Ada", "Sure?", "Approved by Ada",
    ]  # fmt: skip


def test_an_input_without_an_approver_aborts_the_build(tmp_path: Path) -> None:
    files = {"Jenkinsfile": jenkinsfile(stage("Ask", "input 'Go?'") + "\n" + stage("Go", "sh 'echo went'"))}

    build = run_build(job(tmp_path, files), result="ABORTED")

    assert build.stages == {"Ask": "ABORTED", "Go": "SKIPPED"}
    assert build.reason == "Rejected: nobody approves this job"


def test_the_agent_and_the_environment_may_depend_on_the_build(tmp_path: Path) -> None:
    sections = """
    parameters { string(name: 'PLACE', description: 'a place') }
    environment { PLACE = "${params.PLACE ?: env.HOUSE ?: 'nowhere'}" }"""
    text = jenkinsfile(stage("Tell", "sh 'echo \"at $PLACE\"'"), sections=sections)
    text = text.replace("'mcq'", "\"${env.BRANCH_NAME == 'main' ? 'ours' : 'theirs'}\"")

    build = run_build(job(tmp_path, {"Jenkinsfile": text}, labels=("ours",), environment={"HOUSE": "home"}))

    assert "at home" in lines(build.log)
    assert build.stages == {"Tell": "SUCCESS"}


def test_a_timeout_ends_all_processes_of_its_stage_and_cleans_up(tmp_path: Path) -> None:
    # The shell's child process must end as well.
    limit = "options { timeout(time: 3, unit: 'SECONDS') }"
    stages = stage(
        "Long",
        "sh 'sh -c \"echo $$ > pid; sleep 600\" & wait'",
        more=f"{limit}\npost {{ unsuccessful {{ sh 'echo undone' }} }}",
    )
    pipeline = job(tmp_path, {"Jenkinsfile": jenkinsfile(stages)})

    build = run_build(pipeline, result="ABORTED")

    assert {"Timeout has been exceeded", "undone"} <= set(lines(build.log))
    pid = int((pipeline.workspace / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def terminated(pipeline: Job, settings: Path, has_started: Callable[[], None]) -> Build:
    """Run the job, send it SIGTERM once `has_started()` returns, and return the build."""
    settings.write_text(json.dumps(pipeline.settings()))
    place = settings.with_suffix(".place")
    with subprocess.Popen(command(settings, place), stdout=subprocess.DEVNULL) as process:
        try:
            has_started()
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        finally:
            process.kill()
    return read_build(Path(place.read_text()))


def test_an_interrupted_build_is_aborted_and_cleans_up(tmp_path: Path) -> None:
    stages = stage("Long", "sh 'touch begun; sleep 600'", more="post { unsuccessful { sh 'echo undone' } }")
    pipeline = job(tmp_path, {"Jenkinsfile": jenkinsfile(stages)})

    build = terminated(pipeline, tmp_path / "job.json", lambda: wait_for(pipeline.workspace / "begun"))

    assert build.result == "ABORTED"
    assert {"Aborted by SIGTERM", "undone"} <= set(lines(build.log))


def test_a_build_that_waits_for_another_can_be_aborted(tmp_path: Path) -> None:
    busy = "sh 'touch busy; until [ -e go ]; do sleep 0.1; done'"
    pipeline = job(tmp_path, {"Jenkinsfile": jenkinsfile(stage("A", busy))})
    log = pipeline.home / "jobs/test/builds/2/log"

    with ThreadPoolExecutor() as pool:
        first = pool.submit(run_build, pipeline)
        try:
            wait_for(pipeline.workspace / "busy")
            second = terminated(
                pipeline, tmp_path / "job.json", lambda: wait_for(log, "Waiting: another build")
            )
        finally:
            (pipeline.workspace / "go").touch()

    assert (first.result().result, second.result, second.stages) == ("SUCCESS", "ABORTED", {})


def test_only_the_newest_builds_are_kept(tmp_path: Path) -> None:
    options = "buildDiscarder(logRotator(numToKeepStr: '2'))"
    pipeline = job(tmp_path, {"Jenkinsfile": jenkinsfile(stage("A", "sh 'true'"), options=options)})

    numbers = [run_build(pipeline).number for _ in range(3)]

    assert numbers == [1, 2, 3]
    assert {path.name for path in (pipeline.home / "jobs/test/builds").iterdir() if path.is_dir()} == {
        "2",
        "3",
    }


def test_builds_of_a_job_run_one_at_a_time(tmp_path: Path) -> None:
    # mkdir fails if another build is running.
    busy = "sh 'mkdir busy; until [ -e go ]; do sleep 0.1; done; rmdir busy'"
    pipeline = job(tmp_path, {"Jenkinsfile": jenkinsfile(stage("A", busy))})

    with ThreadPoolExecutor() as pool:
        first = pool.submit(run_build, pipeline)
        try:
            wait_for(pipeline.workspace / "busy")
            second = pool.submit(run_build, pipeline)
            wait_for(
                pipeline.home / "jobs/test/builds/2/log", "Waiting: another build of this job is in progress"
            )
        finally:
            (pipeline.workspace / "go").touch()

    assert {first.result().result, second.result().result} == {"SUCCESS"}


def test_a_forks_jenkinsfile_is_not_used(tmp_path: Path) -> None:
    guarded = stage(
        "Secret", "sh 'echo deployed'", more="when { allOf { branch 'main'; not { changeRequest() } } }"
    )
    ours = jenkinsfile(
        stage("Checkout", "checkout scm") + "\n" + stage("Look", "sh 'cat who'") + "\n" + guarded
    )
    target = job(tmp_path, {"Jenkinsfile": ours, "who": "us\n"}).scm["revision"]
    theirs = jenkinsfile(stage("Steal", "sh 'echo stolen'"))
    change = ChangeRequest("7", target, fork=True)

    build = run_build(
        job(tmp_path, {"Jenkinsfile": theirs, "who": "them\n"}, branch="PR-7", change_request=change)
    )

    assert build.stages == {"Checkout": "SUCCESS", "Look": "SUCCESS", "Secret": "SKIPPED"}
    assert "them" in lines(build.log)
    assert "stolen" not in build.log
