import java.io.BufferedReader;
import java.io.InputStreamReader;
import org.apache.kafka.tools.AclCommand;

/** Does what kafka-acls.sh does with the arguments in each line that it reads, in one JVM for all. */
class Acls {
    public static void main(String[] args) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (var line = lines.readLine(); line != null; line = lines.readLine()) {
            // Ends this program with an exit code of its own if it is refused.
            AclCommand.main(line.trim().split("\\s+"));
        }
    }
}
