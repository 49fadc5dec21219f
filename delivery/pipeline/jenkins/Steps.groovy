import groovy.util.slurpersupport.GPathResult
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.PathMatcher
import java.nio.file.StandardCopyOption
import java.nio.file.attribute.PosixFilePermissions
import java.security.MessageDigest

/**
 * The steps, executed for real: they run commands, read reports and keep files. Each parallel branch has its own
 * object, because withCredentials changes the environment of one branch.
 */
class Steps {

    private static final String OWNER_ONLY = 'rw-------'

    private final Build build
    private final Map<String, String> environment
    private final boolean cleaningUp
    /** The worst result of the steps that did not fail. */
    Result worst = Result.SUCCESS

    Steps(Build build, Map<String, String> environment, boolean cleaningUp) {
        this.build = build
        this.cleaningUp = cleaningUp
        this.environment = new LinkedHashMap<>(environment)
    }

    void checkout(Map<String, String> scm) {
        build.log.pipeline('checkout')
        git('init', '--quiet')
        build.log.say("Fetching changes from the repository ${scm.url}")
        git('fetch', '--quiet', '--force', '--no-tags', scm.url, scm.revision)
        git('checkout', '--quiet', '--force', '--detach', 'FETCH_HEAD')
        build.log.say("Checking out Revision ${scm.revision}")
    }

    void sh(String script) {
        sh(script: script)
    }

    void sh(Map<String, String> step) {
        build.log.pipeline(step.label ? "sh ($step.label)" : 'sh')
        int code = build.processes.run(['sh', '-xe', '-c', step.script], build.workspace, environment) { line ->
            build.log.say(line)
        }
        if (!cleaningUp) {
            build.refuseIfAborted()
        }
        if (code != 0) {
            throw new BuildFailure("script returned exit code $code")
        }
    }

    void input(String message) {
        build.log.pipeline('input')
        build.log.say(message)
        if (!build.job.approver) {
            build.abort('Rejected: nobody approves this job')
            build.refuseIfAborted()
        }
        build.log.say("Approved by $build.job.approver")
    }

    void input(Map<String, String> step) {
        input(step.message)
    }

    void junit(String testResults) {
        build.log.pipeline('junit')
        build.log.say('Recording test results')
        List<Path> files = matching(testResults)
        if (files.empty) {
            throw new BuildFailure('No test report files were found. Configuration error?')
        }
        Map<String, Integer> sums = [tests: 0, failures: 0, errors: 0, skipped: 0]
        files.each { file ->
            GPathResult root = new XmlSlurper().parse(file.toFile())
            Collection<GPathResult> suites = root.name() == 'testsuites' ? root.testsuite.list() : [root]
            suites.each { suite ->
                sums.keySet().each { name -> sums[name] += suite["@$name"].text().toInteger() }
            }
        }
        build.record.tests = sums
        build.log.say("$sums.tests tests, $sums.failures failures, $sums.errors errors, $sums.skipped skipped")
        if (sums.failures + sums.errors > 0) {
            worst = Result.UNSTABLE
            build.worsen(worst)
        }
    }

    void junit(Map<String, String> step) {
        junit(step.testResults)
    }

    void recordCoverage(Map<String, Object> step) {
        build.log.pipeline('recordCoverage')
        step.tools.each { tool ->
            if (tool.keySet() != ['parser', 'pattern'] as Set || tool.parser != 'COBERTURA') {
                throw new BuildFailure("recordCoverage knows tools with a pattern and parser COBERTURA, not $tool")
            }
            List<Path> files = matching(tool.pattern)
            if (files.empty) {
                throw new BuildFailure("No files found for pattern '$tool.pattern'. Configuration error?")
            }
            files.each { file ->
                XmlSlurper reader = new XmlSlurper(false, false, true)
                reader.setFeature('http://apache.org/xml/features/nonvalidating/load-external-dtd', false)
                BigDecimal rate = reader.parse(file.toFile())['@line-rate'].text().toBigDecimal()
                build.record.lineCoverage = rate
                build.log.say("Line coverage: ${(rate * 100).setScale(1, BigDecimal.ROUND_HALF_UP)}%")
            }
        }
    }

    void archiveArtifacts(String artifacts) {
        archiveArtifacts(artifacts: artifacts)
    }

    void archiveArtifacts(Map<String, Object> step) {
        build.log.pipeline('archiveArtifacts')
        build.log.say('Archiving artifacts')
        List<Path> files = matching(step.artifacts)
        if (files.empty && !step.allowEmptyArchive) {
            throw new BuildFailure(
                "No artifacts found that match the file pattern \"$step.artifacts\". Configuration error?")
        }
        Path root = build.workspace.toPath()
        files.each { file ->
            Path kept = build.directory.toPath().resolve('archive').resolve(root.relativize(file))
            Files.createDirectories(kept.parent)
            Files.copy(file, kept, StandardCopyOption.REPLACE_EXISTING)
            if (step.fingerprint) {
                String digest = MessageDigest.getInstance('MD5').digest(Files.readAllBytes(file)).encodeHex()
                build.log.say("Fingerprint of ${root.relativize(file)}: $digest")
            }
        }
    }

    Map<String, String> file(Map<String, String> binding) {
        binding + [kind: 'file']
    }

    Map<String, String> string(Map<String, String> binding) {
        binding + [kind: 'string']
    }

    Map<String, String> usernamePassword(Map<String, String> binding) {
        binding + [kind: 'usernamePassword']
    }

    void withCredentials(List<Map<String, String>> bindings, Closure<Void> body) {
        build.log.pipeline('withCredentials')
        Map<String, String> bound = [:]
        List<File> files = []
        bindings.each { binding ->
            Map<String, String> credential = credential(binding)
            switch (binding.kind) {
                case 'file':
                    files << secretFile(credential.content)
                    bound[binding.variable] = files.last().path
                    break
                case 'string':
                    build.log.mask([credential.secret])
                    bound[binding.variable] = credential.secret
                    break
                case 'usernamePassword':
                    build.log.mask([credential.password])
                    bound[binding.usernameVariable] = credential.username
                    bound[binding.passwordVariable] = credential.password
                    break
            }
        }
        String names = bound.keySet().collect { name -> '$' + name }.join(' or ')
        build.log.say("Masking supported pattern matches of $names")
        build.log.pipeline('{')
        Map<String, String> before = new LinkedHashMap<>(environment)
        environment.putAll(bound)
        try {
            Declarations.within(body, this)
        } finally {
            environment.clear()
            environment.putAll(before)
            files.each { file -> file.delete() }
            build.log.pipeline('}')
            build.log.pipeline('// withCredentials')
        }
    }

    private Map<String, String> credential(Map<String, String> binding) {
        String id = binding.credentialsId
        Map<String, String> credential = build.job.credentials[id]
        if (credential == null) {
            throw new BuildFailure("Could not find credentials entry with ID '$id'")
        }
        if (credential.kind != binding.kind) {
            throw new BuildFailure(
                "Credentials '$id' is of type '$credential.kind' where '$binding.kind' was expected")
        }
        credential
    }

    private File secretFile(String content) {
        Path directory = Files.createDirectories(new File("${build.workspace}@tmp").toPath())
        Path file = Files.createTempFile(
            directory, 'secret', '',
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(OWNER_ONLY)))
        file.toFile().text = content
        build.log.mask([file.toString()])
        file.toFile()
    }

    private void git(String... arguments) {
        List<String> command = ['git'] + (arguments as List)
        build.log.say(" > ${command.join(' ')}")
        int code = build.processes.run(command, build.workspace, environment) { line -> build.log.say(line) }
        if (code != 0) {
            throw new BuildFailure("Error fetching remote repo: git ended with $code")
        }
    }

    /** The workspace's files that match one of the comma-separated patterns. */
    private List<Path> matching(String patterns) {
        Path root = build.workspace.toPath()
        patterns.split(',').collectMany { pattern ->
            PathMatcher matcher = FileSystems.default.getPathMatcher("glob:${pattern.trim()}")
            // Only where the pattern can match: a workspace has many files.
            Path start = root.resolve(pattern.trim().split('/').takeWhile { part -> !(part =~ /[*?\[{]/) }.join('/'))
            if (!Files.exists(start)) {
                return []
            }
            // A pattern without wildcards is a file's name.
            Files.walk(start)
                .filter { path -> Files.isRegularFile(path) && matcher.matches(root.relativize(path)) }
                .sorted().toArray() as List
        } as List<Path>
    }

}
