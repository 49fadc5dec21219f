import java.time.Instant
import java.time.temporal.ChronoUnit

/** The build's log, on stdout and in a file: whole lines, optionally with times, without secrets. */
class BuildLog implements Closeable {

    private static final String MASK = '****'

    boolean timestamps = false
    private final Set<String> secrets = []
    private final PrintWriter file

    BuildLog(File log) {
        file = new PrintWriter(log.newWriter('UTF-8'), true)
    }

    /** Show these secrets as asterisks from now on. */
    synchronized void mask(Collection<String> values) {
        secrets.addAll(values.findAll())
    }

    /** Log one or several lines. */
    synchronized void say(String text) {
        text.split('\n', -1).each { line ->
            // Longest first: one secret may contain another.
            String masked = secrets.toSorted { secret -> -secret.length() }.inject(line) { shown, secret ->
                shown.replace(secret, MASK)
            }
            String stamped = timestamps ? "[${Instant.now().truncatedTo(ChronoUnit.MILLIS)}] $masked" : masked
            println(stamped)
            file.println(stamped)
        }
        System.out.flush()
    }

    /** Log an action of Jenkins itself. */
    void pipeline(String what) {
        say("[Pipeline] $what")
    }

    @Override
    void close() {
        file.close()
    }

}
