import groovy.json.JsonOutput
import java.nio.channels.FileChannel
import java.nio.channels.FileLock
import java.nio.file.StandardOpenOption
import java.util.concurrent.TimeUnit

/**
 * One build of a job, from the Jenkinsfile in its repository to a result. It acts as Jenkins does on an agent with the
 * required label, and logs the same messages.
 */
class Build {

    private static final long LOCK_MILLISECONDS = 200

    /** The job's settings; see Job in delivery/pipeline/job.py. */
    final Map<String, Object> job
    final File workspace
    final File directory
    final BuildLog log
    final Processes processes
    /** The build's record, written when it ends. */
    final Map<String, Object> record = [stages: []]

    private final int number
    private final Map<String, Object> params = [:]
    private final Map<String, String> environment = [:]
    private Model model
    private Result result = Result.SUCCESS
    private String reason
    private volatile String abortion

    Build(Map<String, Object> job) {
        this.job = job
        workspace = new File(job.home as String, "workspace/$job.name")
        workspace.mkdirs()
        builds.mkdirs()
        number = (numbers().max() ?: 0) + 1
        directory = new File(builds, "$number")
        directory.mkdirs()
        log = new BuildLog(new File(directory, 'log'))
        processes = new Processes(new File("${workspace}@tmp"))
    }

    /** Run it to its end. */
    Result run() {
        log.say("Started by $job.startedBy")
        try {
            declare(jenkinsfile())
            exclusively { onAgent() }
        } catch (BuildFailure | GroovyRuntimeException failure) {
            worsen(Result.FAILURE, failure.message)
        }
        finish()
        result
    }

    /** Stop the running commands; the build continues with its post actions. */
    void abort(String why) {
        abortion = why
        log.say(why)
        processes.end()
    }

    /** Fail if the build is aborted. */
    void refuseIfAborted() {
        if (abortion) {
            throw new BuildFailure(abortion)
        }
    }

    /** Lower the build's result to at most this; the first reason is kept. */
    synchronized void worsen(Result worse, String why = null) {
        Result actual = worse == Result.FAILURE && abortion ? Result.ABORTED : worse
        result = [result, actual].max()
        reason = reason ?: why
    }

    private File getBuilds() {
        new File(job.home as String, "jobs/$job.name/builds")
    }

    private List<Integer> numbers() {
        (builds.list() as List).findAll { name -> name.integer }*.toInteger()
    }

    private String jenkinsfile() {
        // For an untrusted fork Jenkins takes the target branch's Jenkinsfile.
        String revision = job.changeRequest?.fork ? job.changeRequest.target : job.scm.revision
        Process git = ['git', '-C', job.scm.url, 'show', "$revision:Jenkinsfile"]*.toString().execute()
        StringBuilder text = new StringBuilder(), error = new StringBuilder()
        git.waitForProcessOutput(text, error)
        if (git.exitValue() != 0) {
            throw new BuildFailure("Unable to find Jenkinsfile from $job.scm.url: ${error.toString().trim()}")
        }
        log.say("Obtained Jenkinsfile from $revision")
        text
    }

    private void declare(String source) {
        List<String> errors = Grammar.errorsOf(source)
        if (errors) {
            throw new BuildFailure(errors.join('\n'))
        }
        setEnvironment()
        model = Declarations.read(source, new Binding(scm: job.scm, env: environment, params: params))
        log.timestamps = model.options.containsKey('timestamps')
        setParameters()
        if (model.environment) {
            Declarations.within(model.environment, new Assignments(environment))
        }
    }

    private void setParameters() {
        Set<String> unknown = job.parameters.keySet() - model.parameters.keySet()
        if (unknown) {
            throw new BuildFailure("The job has no parameter ${unknown.join(', ')}")
        }
        model.parameters.each { name, facts ->
            Object given = job.parameters.containsKey(name) ? job.parameters[name] : facts.defaultValue
            if (facts.type == 'choice') {
                given = given ?: facts.choices[0]
                if (!(given in facts.choices)) {
                    throw new BuildFailure("Parameter $name is none of ${facts.choices.join(', ')}: $given")
                }
            }
            params[name] = facts.type == 'booleanParam' ? given as boolean : given as String ?: ''
            environment[name] = params[name].toString()
        }
    }

    private void setEnvironment() {
        environment.putAll(job.environment)
        environment.putAll([
            CI: 'true', JOB_NAME: job.name, BUILD_NUMBER: "$number".toString(), WORKSPACE: workspace.path,
            BUILD_TAG: "jenkins-$job.name-$number".toString(), GIT_COMMIT: job.scm.revision, BRANCH_NAME: job.branch,
        ])
        if (job.changeRequest) {
            environment.CHANGE_ID = job.changeRequest.id
            environment.CHANGE_TARGET = job.changeRequest.target
        }
    }

    /** One build of the job at a time: they share a workspace. */
    private void exclusively(Closure<Void> body) {
        if (!model.options.containsKey('disableConcurrentBuilds')) {
            throw new BuildFailure('Builds of a job share a workspace here: options lacks disableConcurrentBuilds()')
        }
        FileChannel.open(
            new File(builds, 'lock').toPath(), StandardOpenOption.CREATE, StandardOpenOption.WRITE
        ).withCloseable { channel ->
            FileLock lock = channel.tryLock()
            if (!lock) {
                log.say('Waiting: another build of this job is in progress')
            }
            while (!lock) {
                refuseIfAborted()
                sleep(LOCK_MILLISECONDS)
                lock = channel.tryLock()
            }
            body()
        }
    }

    private Result withTimeLimit(Map<String, Object> limit, Closure<Result> body) {
        Timer timer = new Timer(true)
        if (limit) {
            TimeUnit unit = TimeUnit.valueOf(limit.unit)
            log.say("Timeout set to expire in $limit.time ${limit.unit.toLowerCase()}")
            timer.schedule({ abort('Timeout has been exceeded') } as TimerTask, unit.toMillis(limit.time as long))
        }
        try {
            body()
        } finally {
            timer.cancel()
        }
    }

    private void onAgent() {
        log.pipeline('Start of Pipeline')
        if (!(model.label in job.labels)) {
            String labels = job.labels.join(', ')
            throw new BuildFailure("There are no agents with the label '$model.label', only with: $labels")
        }
        log.pipeline('node')
        log.say("Running on ${InetAddress.localHost.hostName} in $workspace")
        log.pipeline('{')
        if (!model.options.containsKey('skipDefaultCheckout')) {
            new Steps(this, environment, false).checkout(job.scm)
        }
        model.stages.each { declared -> stage(declared) }
        post(model.post, result, 'Declarative: Post Actions')
        log.pipeline('}')
        log.pipeline('// node')
        log.pipeline('End of Pipeline')
    }

    private Result stage(Stage stage) {
        log.pipeline('stage')
        log.pipeline("{ ($stage.name)")
        long started = System.nanoTime()
        Map<String, Object> stageRecord = [name: stage.name]
        synchronized (record) {
            record.stages << stageRecord
        }
        Result own = skipped(stage) ? null : withTimeLimit(stage.timeout) {
            Result inner = content(stage)
            [inner, post(stage.post, inner, 'Post stage')].max()
        }
        stageRecord.result = own?.name() ?: 'SKIPPED'
        stageRecord.seconds = Math.round((System.nanoTime() - started) / 1e8) / 10
        log.pipeline('}')
        log.pipeline('// stage')
        own ?: Result.SUCCESS
    }

    private boolean skipped(Stage stage) {
        if (result > Result.UNSTABLE) {
            log.say("Stage \"$stage.name\" skipped due to earlier failure(s)")
            return true
        }
        if (stage.when && !Declarations.within(stage.when, new Conditions(job))) {
            log.say("Stage \"$stage.name\" skipped due to when conditional")
            return true
        }
        false
    }

    private Result content(Stage stage) {
        if (stage.steps) {
            return steps(stage.steps, false)
        }
        if (!stage.parallel) {
            return stage.stages.collect { inner -> this.stage(inner) }.max()
        }
        log.pipeline('parallel')
        Map<Stage, Result> results = Collections.synchronizedMap([:])
        List<Thread> branches = stage.stages.collect { inner -> Thread.start { results[inner] = this.stage(inner) } }
        branches*.join()
        results.findAll { inner, own -> own > Result.UNSTABLE }.keySet().each { inner ->
            log.say("Failed in branch $inner.name")
        }
        // A branch without a result failed in the interpreter itself.
        branches.size() == results.size() ? results.values().max() : Result.FAILURE
    }

    /** `cleaningUp` runs the steps even in an aborted build. */
    private Result steps(Closure<Void> body, boolean cleaningUp) {
        Steps target = new Steps(this, environment, cleaningUp)
        try {
            if (!cleaningUp) {
                refuseIfAborted()
            }
            Declarations.within(body, target)
        } catch (BuildFailure | GroovyRuntimeException | IOException failure) {
            worsen(Result.FAILURE, failure.message)
            return abortion ? Result.ABORTED : Result.FAILURE
        }
        target.worst
    }

    private Result post(Map<String, Closure<Void>> blocks, Result own, String title) {
        Map<String, Boolean> applies = [
            always: true,
            failure: own == Result.FAILURE,
            success: own == Result.SUCCESS,
            unsuccessful: own != Result.SUCCESS,
            cleanup: true,
        ]
        // Jenkins' order, not the file's.
        List<Closure<Void>> applicable = applies.findResults { name, applied -> applied ? blocks[name] : null }
        if (applicable.empty) {
            return Result.SUCCESS
        }
        log.say(title)
        applicable.collect { body -> steps(body, true) }.max()
    }

    private void finish() {
        if (reason) {
            log.say("ERROR: $reason")
        }
        record.putAll([number: number, result: result.name(), reason: reason])
        new File(directory, 'build.json').text = JsonOutput.prettyPrint(JsonOutput.toJson(record))
        String kept = model?.options?.buildDiscarder?.numToKeepStr
        if (kept) {
            numbers().sort().reverse().drop(kept.toInteger()).each { old -> new File(builds, "$old").deleteDir() }
        }
        log.say("Finished: $result")
        log.close()
    }

}
