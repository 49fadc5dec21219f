import java.nio.file.Files
import java.util.concurrent.ConcurrentHashMap

/** The commands in work, each in a session of its own, so that what it started ends with it. */
class Processes {

    private final Set<File> running = ConcurrentHashMap.newKeySet()
    private final File scratch

    Processes(File scratch) {
        this.scratch = scratch
        scratch.mkdirs()
    }

    /** Run a command with its lines given to `each`; its exit code, after it has closed its output. */
    int run(List<String> command, File directory, Map<String, String> environment, Closure<Void> each) {
        File pid = Files.createTempFile(scratch.toPath(), 'pid', '').toFile()
        List<String> own = ['setsid', 'sh', '-c', 'echo $$ > "$0"; exec "$@"', pid.path]
        ProcessBuilder builder = new ProcessBuilder(own + command).directory(directory).redirectErrorStream(true)
        builder.redirectInput(new File('/dev/null'))
        builder.environment().clear()
        builder.environment().putAll(environment)
        running << pid
        try {
            Process process = builder.start()
            process.inputStream.withReader('UTF-8') { reader -> reader.eachLine { line -> each(line) } }
            return process.waitFor()
        } finally {
            running.remove(pid)
            pid.delete()
        }
    }

    /** Ask all of them to end, and after ten seconds make them. */
    void end() {
        List<String> groups = running.collect { pid -> "-${pid.text.trim()}" }.findAll { group -> group.length() > 1 }
        signal('TERM', groups)
        for (int wait = 0; wait < 100 && !running.empty; wait++) {
            sleep(100)
        }
        signal('KILL', groups)
    }

    private static void signal(String name, List<String> groups) {
        groups.each { group -> new ProcessBuilder('kill', "-$name", '--', group).start().waitFor() }
    }

}
