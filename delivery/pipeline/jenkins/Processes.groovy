import java.nio.file.Files
import java.util.concurrent.ConcurrentHashMap

/** The running commands, each in its own session, so that its children end with it. */
class Processes {

    private final Set<File> running = ConcurrentHashMap.newKeySet()
    private final File scratch

    Processes(File scratch) {
        this.scratch = scratch
        scratch.mkdirs()
    }

    /** Run a command and pass its lines to `each`; return the exit code once its output is closed. */
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

    /** Terminate all commands, and kill them after ten seconds. */
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
