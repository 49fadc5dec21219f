// Runs one build: java -cp groovy-all.jar:. groovy.ui.GroovyMain run.groovy JOB.json PLACE; exit code 0 for SUCCESS.
// The build's directory, with its log, its archive and build.json, is written to the file PLACE.
import groovy.json.JsonSlurper
import sun.misc.Signal
import sun.misc.SignalHandler

Build build = new Build(new JsonSlurper().parse(new File(args[0])))
['INT', 'TERM'].each { name ->
    Signal.handle(new Signal(name), { signal -> Thread.start { build.abort("Aborted by SIG$name") } } as SignalHandler)
}
new File(args[1]).text = build.directory.path
System.exit(build.run() == Result.SUCCESS ? 0 : 1)
