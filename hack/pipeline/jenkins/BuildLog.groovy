import java.time.Instant
import java.time.temporal.ChronoUnit

/** The build's log, on stdout and in a file: whole lines, with the time of each if wanted, and no secret in any. */
class BuildLog implements Closeable {

    private static final String MASK = '****'

    boolean timestamps = false
    private final Set<String> secrets = []
    private final PrintWriter file

    BuildLog(File log) {
        file = new PrintWriter(log.newWriter('UTF-8'), true)
    }

    /** From now on these are shown as asterisks. */
    synchronized void mask(Collection<String> values) {
        secrets.addAll(values.findAll())
    }

    /** One line, or several. */
    synchronized void say(String text) {
        text.split('\n', -1).each { line ->
            // The longest first: one secret may be part of another.
            String masked = secrets.toSorted { secret -> -secret.length() }.inject(line) { shown, secret ->
                shown.replace(secret, MASK)
            }
            String stamped = timestamps ? "[${Instant.now().truncatedTo(ChronoUnit.MILLIS)}] $masked" : masked
            println(stamped)
            file.println(stamped)
        }
        System.out.flush()
    }

    /** What Jenkins itself did. */
    void pipeline(String what) {
        say("[Pipeline] $what")
    }

    @Override
    void close() {
        file.close()
    }

}
